"""Benchmarks of scoring a results file, against the devkit's command, and of its report."""
