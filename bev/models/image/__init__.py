"""Image backbones and necks."""
