"""Depth step: how finely must depth be cut? Bins of 0.5 to 4 m over 2 to 58 m."""

from lss_synthetic import config as base

from bev.ablation import Study, vary

study = Study(base, vary("model.view.depth", "2 58 1", "2 58 0.5", "2 58 2", "2 58 4"))
