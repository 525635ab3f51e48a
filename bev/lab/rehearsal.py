"""Rehearsal of a training: all of its steps in minutes, on the synthetic world, if data is missing.

A rehearsal changes a few fields of the experiment, prints the changes, and labels its metrics as a
check that every part works. A few dozen steps from random weights learn next to nothing.
"""

import csv
import dataclasses
from pathlib import Path

import torch

from bev.config import Experiment
from bev.errors import TrainingError
from bev.lab.synthetic import PRESETS, VERSION, make_world
from bev.machine import rank, started_by
from bev.serialization import differences
from bev.training.settings import TrainConfig

WORLD = Path("data/synthetic-tiny")
MINUTES = 3.0

LABEL = "Rehearsal on a synthetic world, not nuScenes: the metrics only show that every part works."

NOTICE = """
==========================================================================================
 REHEARSAL: there is no data in {root}, so this run uses a synthetic driving world.
 This is NOT nuScenes: the metrics below only show that every part works.
==========================================================================================
 Changed for the rehearsal:
{changes}
"""

_NEXT = """
==========================================================================================
 {losses}
 This was a rehearsal on a synthetic world; its metrics only show that every part works.

 With nuScenes (https://www.nuscenes.org/nuscenes#download) unpacked so that
 data/nuscenes/v1.0-trainval, data/nuscenes/samples and data/nuscenes/maps exist:
   bevlab train {config}

 To train a model that learns on a CPU, on a larger synthetic world (half an hour on 2 cores):
   bevlab make-synthetic data/synthetic-default
   bevlab train lss_synthetic
==========================================================================================
"""


def rehearse(config: Experiment) -> Experiment:
    """The experiment changed for a rehearsal; generates the tiny world if it does not exist yet.

    Raises:
        TrainingError: if run under torchrun or srun; a rehearsal is for one machine without data.
    """
    if launcher := started_by():
        raise TrainingError(
            f"There is no data in {config.data.root}, and a rehearsal cannot run under {launcher};"
            f" set --data.root, or start without {launcher}."
        )
    data = dataclasses.replace(
        config.data,
        root=WORLD,
        version=VERSION,
        train_split="",
        val_split="",
        fold="",
        batch_size=1,
    )
    backbone = config.model.backbone.without_weights()
    train = dataclasses.replace(
        config.train,
        epochs=1000,
        max_minutes=MINUTES,
        warmup_steps=10,
        lr_batch=0,
        schedule=TrainConfig.schedule,
        stages=TrainConfig.stages,
        validate_every=0,
        pictures=2,
        log_every=5,
        ema_start=0,
        devices=config.train.devices or 1,
        runs=config.train.runs / "rehearsal",
    )
    if not torch.cuda.is_available():
        data = dataclasses.replace(data, image_size=(128, 352))
    changed = dataclasses.replace(
        config, data=data, train=train, model=dataclasses.replace(config.model, backbone=backbone)
    )
    if rank() == 0:
        changed_fields = differences(config, changed)
        changes = "\n".join(
            f"   {name}: {before} -> {after}" for name, before, after in changed_fields
        )
        print(NOTICE.format(root=config.data.root, changes=changes), flush=True)
        make_world(WORLD, PRESETS["tiny"])
    return changed


def next_steps(config: str, folder: Path) -> str:
    """Closing message of a rehearsal: the fall of the loss and the commands to run next.

    Args:
        config: name or path of the config, as given on the command line.
        folder: run folder of the finished run.
    """
    return _NEXT.format(config=config, losses=losses(folder))


def losses(folder: Path) -> str:
    """Sentence on the fall of the training loss, from a run folder's ``metrics.csv``."""
    with (folder / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("train/loss")]
    if not rows:
        return "The run was too short to log a loss."
    values = [float(row["train/loss"]) for row in rows]
    few = max(len(values) // 5, 1)
    first, last = sum(values[:few]) / few, sum(values[-few:]) / few
    return f"The loss went from {first:.1f} to {last:.1f} in {rows[-1]['step']} steps."
