"""Benchmark of scoring a results file: ``bevlab evaluate`` against the devkit's command."""
