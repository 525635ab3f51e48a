"""Benchmark of inference: ways to run one detector, in one run."""
