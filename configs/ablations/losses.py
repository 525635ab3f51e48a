"""Losses: kinds of the heatmap loss and of the depth loss."""

from lss_synthetic import config as base

from bev.lab.ablation import Study

HEATMAP, DEPTH = "--model.head.heatmap-loss", "--model.depth-supervision.loss"

study = Study(
    base,
    {
        "Gaussian focal, depth ce": f"{HEATMAP}.kind gaussian {DEPTH} ce",
        "Gaussian focal, milder": f"{HEATMAP}.focus 1.5 {HEATMAP}.spare 3",
        "focal": f"{HEATMAP}.kind focal --model.head.heatmap-weight 4",
        "cross-entropy": f"{HEATMAP}.kind bce --model.head.heatmap-weight 0.2",
        "depth bce": f"{DEPTH} bce",
        "depth focal": f"{DEPTH} focal",
    },
)
