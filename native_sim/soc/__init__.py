"""The enterprise SOC simulator: ``corrected`` rules to learn in, ``reference`` rules to compare with."""
