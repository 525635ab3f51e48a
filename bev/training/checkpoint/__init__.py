"""Checkpoints: loading and export (``loading``), saving rules (``saving``), writing (``io``)."""

from bev.training.checkpoint.loading import export_weights, home_of, load_checkpoint

__all__ = ["export_weights", "home_of", "load_checkpoint"]
