"""Is this machine fit to build and run engines, and if not, what to do."""
