"""Measures speed and memory, a file for each subject: ``python -m scripts.benchmark``."""
