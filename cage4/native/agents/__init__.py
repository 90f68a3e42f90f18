"""What the agents of CC4 do in the compiled engine: blue, green and red commands, and red's decisions."""
