"""Train a config: ``bevlab train lss_r50 [--resume CKPT] [--train.lr 1e-4 …]``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from bev.bounds import gathered
from bev.config import Experiment, load_file
from bev.data.settings import DataConfig
from bev.errors import ConfigError
from bev.options import parse


@dataclass(frozen=True)
class Command:
    """Train an experiment; any of its fields can be overridden.

    Attributes:
        resume: checkpoint to resume from; "auto" takes the last checkpoint of the run's folder if
            there is one, and does nothing if the run is finished and the settings do not ask for
            more epochs, steps or minutes than it has had.
    """

    experiment: Annotated[Experiment, tyro.conf.arg(name="")] = Experiment()
    resume: Path | None = None


def main(arguments: list[str], prog: str) -> None:
    if arguments[:1] in (["-h"], ["--help"]):
        parse(Command, arguments, f"{prog} CONFIG")
    if not arguments or arguments[0].startswith("-"):
        raise ConfigError(f"Name a config first, a file or a shipped config: {prog} lss_r50")
    path, arguments = arguments[0], arguments[1:]
    with gathered():  # train() names all faults of the settings at once
        default = Command(load_file(path))
        command = parse(Command, arguments, f"{prog} {path}", default, without=["experiment"])
    config, resume = command.experiment, command.resume

    from bev.training.folder import named_folder
    from bev.training.record import asks_for_more, is_finished, last_checkpoint
    from bev.training.run import train
    from bev.training.settings_check import check_settings
    from bev.visualization.report.run import report_run
    from bev.visualization.training import sample_pictures

    if resume == Path("auto"):
        folder = named_folder(config.train, config.name)
        if is_finished(folder):
            if not asks_for_more(folder, config.train):
                print(f"the run in {folder} is finished")
                return
            print(f"the run in {folder} was finished, and continues with the longer settings")
        resume = last_checkpoint(folder)
    if wants_rehearsal(config, arguments):
        from bev.lab import rehearsal

        check_settings(config, here=True)
        rehearsal.rehearse(config, path, resume)
        return
    callbacks = sample_pictures(config)
    folder, result = train(config, resume, callbacks=callbacks, finish=[report_run])
    if result is not None:
        print(f"\nmetrics, pictures and {folder / 'report.html'} are in {folder}")


def wants_rehearsal(config: Experiment, arguments: Sequence[str]) -> bool:
    """True if no data root is given and the default one does not exist."""
    chosen = any(a.split("=")[0].replace("_", "-") == "--data.root" for a in arguments)
    root = config.data.root
    return not chosen and root == DataConfig.root and not root.exists()
