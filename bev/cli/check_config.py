"""Check the data of a config: ``bevlab check-data CONFIG [--data.root DIR …]``."""

import sys
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from bev.bounds import Natural, check_bounds
from bev.cli.check_data import report
from bev.config import Experiment, load_file
from bev.data.checks.check import FileCheckConfig
from bev.data.checks.source import check_config_data
from bev.options import parse


@dataclass(frozen=True)
class Command:
    """Check the training and validation data of an experiment for damage.

    For nuScenes' format all tables of data.version are checked, and for another source the frames
    of both splits. Any setting of the experiment can be overridden.

    Attributes:
        most: maximum number of findings listed per kind.
        all: list all findings.
    """

    experiment: Annotated[Experiment, tyro.conf.arg(name="")] = Experiment()
    most: Natural = 10
    all: bool = False
    check: tyro.conf.OmitArgPrefixes[FileCheckConfig] = field(default_factory=FileCheckConfig)


def main(arguments: list[str], prog: str) -> None:
    path, arguments = arguments[0], arguments[1:]
    default = Command(load_file(path))
    command = parse(Command, arguments, f"{prog} {path}", default, without=["experiment"])
    check_bounds(command.experiment.data, "data")
    summary, findings = check_config_data(command.experiment.data, command.check)
    if report(summary, findings, 0 if command.all else command.most):
        sys.exit(1)
