"""Benchmark of a GPU."""
