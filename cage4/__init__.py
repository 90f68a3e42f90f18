"""CAGE Challenge 4 behind one interface, whichever engine plays it."""
