"""Running a bundle: one Predictor, and a backend per runtime."""
