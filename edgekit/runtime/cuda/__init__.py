"""Device memory, streams, events and graphs of one GPU."""
