"""Pure networks (torch): no I/O, no device choice, no printing."""
