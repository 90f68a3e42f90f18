"""The SOC simulator as a game of the harness."""
