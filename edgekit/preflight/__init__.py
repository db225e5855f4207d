"""What can be known of a graph before a board is at hand: whether it would build, where, and about how fast."""
