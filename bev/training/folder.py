"""The run folder, ``runs/<config>/<name or time>/``, and the records that an earlier part left."""

import os
import shutil
import time
from pathlib import Path

from bev.errors import TrainingError
from bev.training.checkpoint.loading import home_of
from bev.training.record import RECORD
from bev.training.settings import TrainConfig

# Set for the processes that Lightning starts for further devices: all write into one folder.
RUN_VARIABLE = "BEV_RUN_FOLDER"


def named_folder(config: TrainConfig, experiment: str) -> Path:
    """The folder of a run that has a name.

    Raises:
        TrainingError: where it has none.
    """
    if not config.run_name:
        raise TrainingError("--resume auto needs to know the run: set --train.run-name.")
    return config.runs / experiment / config.run_name


def run_folder(config: TrainConfig, experiment: str, resume: Path | None) -> Path:
    """The run folder, the same on all ranks; made where needed.

    Args:
        config: names the run and the parent of all.
        experiment: its name.
        resume: a checkpoint to go on from, in its folder where it lies in one.

    Raises:
        TrainingError: under torchrun without a name for the run, or where the folder already holds
            another run.
    """
    if resume is not None and home_of(resume) != resume.resolve().parent:
        folder = home_of(resume)
    elif RUN_VARIABLE in os.environ and "LOCAL_RANK" in os.environ:
        folder = Path(os.environ[RUN_VARIABLE])
    else:
        if not config.run_name and "TORCHELASTIC_RUN_ID" in os.environ:
            raise TrainingError(
                "Under torchrun all processes need one run folder: set --train.run-name."
            )
        name = config.run_name or time.strftime("%Y-%m-%d_%H-%M-%S")
        folder = config.runs / experiment / name
        kept = sorted((folder / "checkpoints").glob("*.ckpt"))  # those begun end in .partial
        if kept:
            raise TrainingError(
                f"Run folder {folder} holds checkpoints already; choose another --train.run-name,"
                f" or go on with --resume {kept[-1]}."
            )
    folder.mkdir(parents=True, exist_ok=True)
    os.environ[RUN_VARIABLE] = str(folder)
    return folder


def keep_records(folder: Path) -> None:
    """Keep an earlier part's records: the new part writes files of the same names."""
    for path in (folder / "metrics.csv", folder / "config.yaml", folder / RECORD):
        if path.exists():
            before = f"{path.stem}_before_resume_"
            number = 1 + len(list(folder.glob(f"{before}*{path.suffix}")))
            kept = folder / f"{before}{number}{path.suffix}"
            if path.name == "config.yaml":
                shutil.copyfile(path, kept)  # other ranks know the run folder by it
            else:
                path.rename(kept)
