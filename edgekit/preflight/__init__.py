"""What can be predicted of a graph without a board: whether it would build, where it would run, and about how fast."""
