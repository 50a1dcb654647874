"""Training: datasets, losses, metrics and one module a stage. Never imported at run time."""
