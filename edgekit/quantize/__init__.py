"""INT8: observing ranges, writing Q/DQ, and recovering accuracy."""
