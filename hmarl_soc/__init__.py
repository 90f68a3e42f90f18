"""HMARL-SOC: the hierarchical defender, its learners and its baselines."""
