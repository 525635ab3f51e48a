"""Evaluation: the official nuScenes metrics, and depth and map figures beside them."""
