"""The rules of the published simulator, quirks included, for comparison with published rows only."""
