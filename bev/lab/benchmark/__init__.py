"""Measured speed and memory: what ``tools/benchmark.py`` runs."""
