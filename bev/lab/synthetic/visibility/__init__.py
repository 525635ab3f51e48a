"""Visibility of a scene's items: paint order, masks, lidar points, ground truth."""
