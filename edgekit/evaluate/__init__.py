"""Scoring what networks predict."""
