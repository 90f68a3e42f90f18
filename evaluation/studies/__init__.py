"""Studies: methods trained over several seeds, scored on held-out networks, and reported from logs only."""
