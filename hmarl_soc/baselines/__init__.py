"""What HMARL-SOC is compared with: learners that see the same task, choose from the same actions, and pay the same."""
