"""Depth step: depth bins of 0.5 to 4 m over 2 to 58 m."""

from lss_synthetic import config as base

from bev.lab.ablation import Study

BINS = "--model.view.depth.lo 2 --model.view.depth.hi 58 --model.view.depth.step"

study = Study(base, {f"{step} m": f"{BINS} {step}" for step in (1, 0.5, 2, 4)})
