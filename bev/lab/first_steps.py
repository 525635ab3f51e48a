"""Sentences on the first steps of a training: their losses, and their speed."""

import csv
from pathlib import Path

from bev.config import Experiment
from bev.training.record import RunRecord

NUSCENES = 28_130  # training samples of nuScenes
FEW = 20  # steps; losses of fewer differ by their samples more than by what was learned


def losses(folder: Path) -> str:
    """Sentence on the training loss, from a run folder's ``metrics.csv``."""
    with (folder / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("train/loss")]
    if not rows:
        return "The run was too short to log a loss."
    values = [float(row["train/loss"]) for row in rows]
    if len(values) < FEW:
        ends = f"{values[0]:.1f} and {values[-1]:.1f}"
        return f"Losses of its first and last step, of different samples: {ends}."
    few = len(values) // 5
    first, last = sum(values[:few]) / few, sum(values[-few:]) / few
    return f"The loss went from {first:.1f} to {last:.1f} (means of {few} steps)."


def speed(before: Experiment, after: Experiment, record: RunRecord) -> str:
    """Sentences on the samples per second, and on an epoch of nuScenes at this rate."""
    samples = record.steps * after.data.batch_size * after.train.accumulate
    samples *= record.processes
    rate = samples / (60 * max(record.training_minutes, 1e-6))
    (height, width), full = after.data.image_size, before.data.image_size
    text = (
        f"Speed: {rate:.2g} samples a second with images of {height}x{width}. At this rate, an"
        f" epoch of\n nuScenes' {NUSCENES:,} training samples takes {_duration(NUSCENES / rate)}"
    )
    pixels = full[0] * full[1] / (height * width)
    if pixels == 1:
        return f"{text}."
    return f"{text}; its images of {full[0]}x{full[1]} have {pixels:.2g} times the pixels."


def _duration(seconds: float) -> str:
    """A duration in minutes, hours or days, whichever is readable."""
    for unit, length in (("days", 86_400), ("hours", 3600)):
        if seconds >= 2 * length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds / 60:.2g} minutes"
