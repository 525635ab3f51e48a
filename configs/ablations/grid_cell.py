"""Grid cell: cell size of the BEV grid, which extends 51.2 m to each side."""

from lss_synthetic import config as base

from bev.lab.ablation import Study

AXIS = "-51.2 51.2"

study = Study(
    base,
    {
        f"{cell} m": f"--model.grid.x {AXIS} {cell} --model.grid.y {AXIS} {cell}"
        for cell in (0.8, 0.4, 1.6, 3.2)
    },
)
