"""Frames: how many earlier ones help, a second apart, and by how much the velocity's error falls."""

from bevdet4d_synthetic import config as base

from bev.ablation import Study


def frames(count: int) -> str:
    return f"--model.temporal.frames {count} --data.adjacent.previous {count}"


study = Study(base, {f"{count} before": frames(count) for count in (0, 1, 2, 4)})
