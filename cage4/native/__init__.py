"""CAGE Challenge 4 in compiled loops over arrays: the same episode as CybORG 4.0, bit for bit."""
