"""The training loop: environments, replay, validation, checkpoints and progress."""
