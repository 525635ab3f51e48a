"""Depth range: how far must pixels be lifted? Bins of 1 m; the grid's corners are 72 m away."""

from lss_synthetic import config as base

from bev.ablation import Study, vary

study = Study(base, vary("model.view.depth", "2 58 1", "2 34 1", "2 46 1", "2 74 1"))
