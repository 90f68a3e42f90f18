"""What blue agents observe in the compiled engine, written into the arrays of a step."""
