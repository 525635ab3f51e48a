"""Viewer of a scene in three dimensions: plain data, recordings, and drawing in a browser."""
