"""Frames: where they come from, how they are checked, changed at random and made into batches."""
