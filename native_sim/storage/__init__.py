"""Reading and writing files: JSON, TOML and tensors, checked and written atomically."""
