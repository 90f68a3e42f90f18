"""CAGE Challenge 4 as the target of adapters: features of hosts, SOC observations, mappers, and the carried policy."""
