"""The proof that both engines play the same episode: drivers, snapshots, and the lockstep comparison."""
