"""The source files of a user's own policy: which they are, and which data they read."""
