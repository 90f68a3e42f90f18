"""The corrected rules: the simulator to learn in."""
