"""Studies of policies that are carried from the SOC simulator onto CC4."""
