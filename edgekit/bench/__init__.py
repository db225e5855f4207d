"""Measuring a bundle: timing, statistics, telemetry beside it, comparisons, the suite and its reports.

Any Predictor can be measured from outside (``stopwatch``); a backend that can look inside one query is a ``Timed``.
"""
