"""Matching of boxes by centre distance, and the nuScenes metrics' arithmetic, without torch."""
