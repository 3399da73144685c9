"""Measurements with their circumstances; run from the project's root: ``python -m benchmarks.embedding``."""
