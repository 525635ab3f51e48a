"""Weights of models: reading, writing, loading with reports, and adaptation."""

from bev.models.weights.loading import (
    load_weights,
    read_weights,
    renamed_in_order,
    write_weights,
)
from bev.models.weights.report import WeightsReport

__all__ = ["WeightsReport", "load_weights", "read_weights", "renamed_in_order", "write_weights"]
