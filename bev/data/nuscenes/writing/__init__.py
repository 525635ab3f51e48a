"""Writing of data in nuScenes' format."""
