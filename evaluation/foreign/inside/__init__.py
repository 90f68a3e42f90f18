"""Code that runs inside a foreign process."""
