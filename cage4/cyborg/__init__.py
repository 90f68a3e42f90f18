"""The real CybORG behind the project's contract: engine, workers, observations read from it, and how it is found."""
