"""HMARL-SOC: the learner, its four agents, and the policy that plays from saved weights."""
