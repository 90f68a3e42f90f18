"""Fine-tuning of a carried defender with PPO."""
