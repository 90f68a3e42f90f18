"""Adapters that carry SOC policies onto the blue agents of CAGE Challenge 4."""
