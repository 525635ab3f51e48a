"""Trackers of experiments: Weights & Biases and MLflow, offline unless asked otherwise."""
