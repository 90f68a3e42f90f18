"""Networks, losses and their common parts."""
