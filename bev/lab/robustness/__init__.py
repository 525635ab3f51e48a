"""Robustness of a trained model: corrupted images, lost cameras, wrong calibrations."""
