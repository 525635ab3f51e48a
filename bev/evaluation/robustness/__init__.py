"""Perturbations at test time, to measure the robustness of a model."""
