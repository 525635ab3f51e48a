"""Rigs of nuScenes samples, and data of rigs as nuScenes tables."""
