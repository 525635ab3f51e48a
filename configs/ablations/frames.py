"""Frames: how far apart, how many, and by how much the error of velocity falls."""

from bevdet4d_synthetic import config as base

from bev.ablation import Study


def frames(count: int, step: int) -> str:
    """Flags: so many earlier frames, so many key frames apart."""
    return (
        f"--model.temporal.frames {count} --data.adjacent.previous {count}"
        f" --data.adjacent.step {step}"
    )


study = Study(
    base,
    {
        "alone": frames(0, 1),
        **{f"one, {step / 2:g} s before": frames(1, step) for step in (1, 2, 3)},
        "two, 1 s apart": frames(2, 2),
    },
)
