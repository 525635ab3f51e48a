"""Run folder, ``runs/<config>/<name or time>/``, and the records of earlier parts of a run."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from bev.errors import TrainingError
from bev.files import remove_stale
from bev.machine import rank, started_by
from bev.training.checkpoint.loading import home_of
from bev.training.lock import locked_run
from bev.training.record import RECORD
from bev.training.settings import TrainConfig

# Set for the processes that Lightning starts for further devices: all use one folder.
RUN_VARIABLE = "BEV_RUN_FOLDER"


def named_folder(config: TrainConfig, experiment: str) -> Path:
    """Folder of a run that has a name.

    Raises:
        TrainingError: if the run has no name, or one that is not a folder in that of the
            experiment.
    """
    name = Path(config.run_name)
    if not config.run_name:
        raise TrainingError("--resume auto needs the name of the run: set --train.run-name.")
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise TrainingError(
            f"--train.run-name {config.run_name!r} is not the name of a folder in"
            f" {config.runs / experiment}; choose a name without '..' and without a leading '/'."
        )
    return config.runs / experiment / name


def run_folder(config: TrainConfig, experiment: str, resume: Path | None) -> Path:
    """Create the run folder if needed, the same on all ranks.

    Runs without a name never share a folder: it is created by an atomic ``mkdir``, under the start
    time and a number if several runs start in one second.

    Args:
        config: training settings, with the name of the run and the parent folder of all runs.
        experiment: name of the experiment.
        resume: checkpoint to resume; if it is part of a run, the folder of that run is used.

    Raises:
        TrainingError: under torchrun or srun without a name, if the folder already contains
            another run, or if it cannot be created.
    """
    try:
        folder = _created(config, experiment, resume)
    except OSError as error:
        raise TrainingError(
            f"The run folder cannot be created ({error.strerror}: {error.filename}); choose another"
            " --train.runs or --train.run-name."
        ) from error
    os.environ[RUN_VARIABLE] = str(folder)
    return folder


@contextmanager
def claimed_folder(config: TrainConfig, experiment: str, resume: Path | None) -> Iterator[Path]:
    """Create the run folder, see :func:`run_folder`, and keep other runs out of it.

    Raises:
        TrainingError: see :func:`run_folder`; also if another run is using the folder.
    """
    try:
        folder = run_folder(config, experiment, resume)
        with locked_run(folder) if rank() == 0 else nullcontext():
            if not _continues(resume):
                _check_unused(folder)  # again: the run that held the lock may have ended
            for part in (folder, folder / "checkpoints"):
                remove_stale(part)
            yield folder
    finally:
        os.environ.pop(RUN_VARIABLE, None)


def _created(config: TrainConfig, experiment: str, resume: Path | None) -> Path:
    if resume is not None and _continues(resume):
        folder = home_of(resume)
    elif RUN_VARIABLE in os.environ and "LOCAL_RANK" in os.environ:
        folder = Path(os.environ[RUN_VARIABLE])
    elif config.run_name:
        folder = named_folder(config, experiment)
        _check_unused(folder)
    elif started_by() or rank() > 0:
        raise TrainingError(
            f"Under {started_by() or 'a launcher'} all processes need one run folder: set"
            " --train.run-name."
        )
    else:
        return _new_folder(config.runs / experiment / time.strftime("%Y-%m-%d_%H-%M-%S"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _new_folder(folder: Path) -> Path:
    """Create a folder that did not exist; its name gets a number if the name is taken."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    numbered, number = folder, 1
    while True:
        try:
            numbered.mkdir()
            return numbered
        except FileExistsError:
            number += 1
            numbered = folder.with_name(f"{folder.name}_{number}")


def _check_unused(folder: Path) -> None:
    """Raise TrainingError if a folder contains checkpoints."""
    existing = sorted((folder / "checkpoints").glob("*.ckpt"))  # unfinished: .partial
    if existing:
        raise TrainingError(
            f"Run folder {folder} already contains checkpoints; choose another"
            f" --train.run-name, or continue with --resume {existing[-1]}."
        )


def _continues(resume: Path | None) -> bool:
    """Return whether a checkpoint is part of a run, which then continues in its folder."""
    return resume is not None and home_of(resume) != resume.resolve().parent


def keep_records(folder: Path) -> list[tuple[Path, Path]]:
    """Rename the records of an earlier part of a run, which the new part would overwrite.

    Returns:
        Old and new path of each of them, for :func:`put_back`.
    """
    moved = []
    for path in (folder / "metrics.csv", folder / "config.yaml", folder / RECORD):
        if path.exists():
            before = f"{path.stem}_before_resume_"
            number = 1 + len(list(folder.glob(f"{before}*{path.suffix}")))
            renamed = folder / f"{before}{number}{path.suffix}"
            if path.name == "config.yaml":
                shutil.copyfile(path, renamed)  # other ranks identify the run folder by it
            else:
                path.rename(renamed)
            moved.append((path, renamed))
    return moved


def put_back(moved: Sequence[tuple[Path, Path]]) -> None:
    """Undo :func:`keep_records`, for a run that could not be resumed."""
    for path, renamed in moved:
        renamed.replace(path)
