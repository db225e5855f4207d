"""Measuring: timing, statistics, telemetry, reports."""
