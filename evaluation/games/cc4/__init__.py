"""CAGE Challenge 4 as a game of the harness."""
