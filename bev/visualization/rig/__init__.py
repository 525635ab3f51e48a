"""A camera rig made visible: horizon, ground, overlap and fields of view."""
