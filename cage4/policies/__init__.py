"""Rule-based CC4 policies, and the kit that they are written with: host view, host memory, host commands."""
