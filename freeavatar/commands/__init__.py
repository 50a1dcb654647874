"""The commands: what each takes from the command line, and what it prints. Jobs are imported when they run."""
