"""The games that the harness can play, a folder each."""
