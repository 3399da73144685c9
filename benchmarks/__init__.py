"""Measurements with their circumstances; run from the repository's root: ``python -m benchmarks.embedding``."""
