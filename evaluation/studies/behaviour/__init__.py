"""Studies of trained defenders: what they do, why, and which role matters."""
