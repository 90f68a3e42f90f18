"""Rule-based defenders on the rich observation: those described in the literature, and one of our own."""
