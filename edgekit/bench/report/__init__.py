"""Measurements as Markdown and as one HTML page that needs nothing else."""
