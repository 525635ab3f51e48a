"""Checkpoints: loading, exporting and resuming; writing them is a callback's (``saving``)."""

from bev.training.checkpoint.loading import export_weights, home_of, load_checkpoint

__all__ = ["export_weights", "home_of", "load_checkpoint"]
