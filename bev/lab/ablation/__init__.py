"""Ablation studies: variants of a base experiment, trained, compared and put in a table."""

from bev.lab.ablation.study import Study
from bev.lab.ablation.variants import grid, one_at_a_time, vary

__all__ = ["Study", "grid", "one_at_a_time", "vary"]
