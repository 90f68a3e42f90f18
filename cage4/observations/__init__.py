"""What CC4 shows, engine by engine the same: flat and rich observations, the true state, Gymnasium spaces."""
