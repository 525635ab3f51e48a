"""Run folder, ``runs/<config>/<name or time>/``, and the records of earlier parts of a run."""

import os
import shutil
import time
from pathlib import Path

from bev.errors import TrainingError
from bev.training.checkpoint.loading import home_of
from bev.training.record import RECORD
from bev.training.settings import TrainConfig

# Set for the processes that Lightning starts for further devices: all use one folder.
RUN_VARIABLE = "BEV_RUN_FOLDER"


def named_folder(config: TrainConfig, experiment: str) -> Path:
    """Folder of a run that has a name.

    Raises:
        TrainingError: if the run has no name.
    """
    if not config.run_name:
        raise TrainingError("--resume auto needs the name of the run: set --train.run-name.")
    return config.runs / experiment / config.run_name


def run_folder(config: TrainConfig, experiment: str, resume: Path | None) -> Path:
    """Create the run folder if needed, the same on all ranks.

    Args:
        config: training settings, with the name of the run and the parent folder of all runs.
        experiment: name of the experiment.
        resume: checkpoint to resume; if it is part of a run, the folder of that run is used.

    Raises:
        TrainingError: under torchrun without a name of the run, or if the folder already contains
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
        existing = sorted((folder / "checkpoints").glob("*.ckpt"))  # unfinished: .partial
        if existing:
            raise TrainingError(
                f"Run folder {folder} already contains checkpoints; choose another"
                f" --train.run-name, or continue with --resume {existing[-1]}."
            )
    folder.mkdir(parents=True, exist_ok=True)
    os.environ[RUN_VARIABLE] = str(folder)
    return folder


def keep_records(folder: Path) -> None:
    """Rename the records of an earlier part of a run, which the new part would overwrite."""
    for path in (folder / "metrics.csv", folder / "config.yaml", folder / RECORD):
        if path.exists():
            before = f"{path.stem}_before_resume_"
            number = 1 + len(list(folder.glob(f"{before}*{path.suffix}")))
            renamed = folder / f"{before}{number}{path.suffix}"
            if path.name == "config.yaml":
                shutil.copyfile(path, renamed)  # other ranks identify the run folder by it
            else:
                path.rename(renamed)
