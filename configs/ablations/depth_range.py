"""Depth range: far end of the depth bins, in bins of 1 m; corners of the grid are 72 m away."""

from lss_synthetic import config as base

from bev.lab.ablation import Study

BINS = "--model.view.depth.lo 2 --model.view.depth.step 1 --model.view.depth.hi"

study = Study(base, {f"to {hi} m": f"{BINS} {hi}" for hi in (58, 34, 46, 74)})
