"""Train a config, a Python file or the config.yaml of a run.

python tools/train.py configs/lss_r50.py [--resume CKPT] [--train.lr 1e-4 ...]
"""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from bev.config import Experiment, load_file
from bev.errors import ConfigError, run_command
from bev.lab.rehearsal import LABEL, NEXT, losses, rehearse, wants_rehearsal
from bev.training.folder import named_folder
from bev.training.record import is_finished, last_checkpoint
from bev.training.run import train
from bev.visualization.report.run import report_run


@dataclass(frozen=True)
class Command:
    """Train an experiment; any of its fields can be overridden.

    Attributes:
        resume: a checkpoint to go on from; "auto" takes the last one of the run's folder where
            there is one, and does nothing where the run is finished.
    """

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    resume: Path | None = None


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        raise ConfigError("Name a config file first: python tools/train.py configs/lss_r50.py")
    path, arguments = sys.argv[1], sys.argv[2:]
    command = tyro.cli(
        Command, default=Command(load_file(path)), args=arguments, prog=f"train.py {path}"
    )
    config, resume = command.experiment, command.resume
    if resume == Path("auto"):
        folder = named_folder(config.train, config.name)
        if is_finished(folder):
            print(f"the run in {folder} is finished")
            return
        resume = last_checkpoint(folder)
    rehearsal = wants_rehearsal(config, arguments)
    if rehearsal:
        config = rehearse(config)
    report = partial(report_run, notice=LABEL if rehearsal else "")
    folder, result = train(config, resume, finish=[report])
    if result is None:
        return
    print(f"\nmetrics, pictures and {folder / 'report.html'} are in {folder}")
    if rehearsal:
        print(NEXT.format(config=path, losses=losses(folder)))


if __name__ == "__main__":
    run_command(main)
