"""Networks that see many modalities, some of them hidden, and their ensembles (PHG-MAE, arXiv 2510.10068)."""
