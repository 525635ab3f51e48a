"""Depth supervision: weight and kind of the depth loss from lidar."""

from lss_synthetic import config as base

from bev.lab.ablation import Study

study = Study(
    base,
    {"none": "--model.depth-supervision.weight 0"}
    | {
        f"{kind}, weight {weight}": f"--data.lidar --model.depth-supervision.weight {weight}"
        f" --model.depth-supervision.loss {kind}"
        for kind in ("ce", "bce")
        for weight in (0.3, 1, 3)
    },
)
