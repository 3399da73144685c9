"""Measurements with their circumstances; run from the repository's root, e.g. ``python -m benchmarks.embedding``."""
