"""Lay runs or evaluations side by side on one page.

bevlab report RUN_A RUN_B …                    # run folders, or evaluation folders of runs
bevlab report a/results_nusc.json b/results_nusc.json --data.root DIR --data.version V --split S
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from bev.bounds import Bound
from bev.data.settings import DataChoice
from bev.errors import ConfigError
from bev.options import parse

Replicates = Annotated[int, Bound(least=2, most=100_000)]


@dataclass(frozen=True)
class Command:
    """Compare runs or evaluations with the first: figures, intervals, groups, samples, settings.

    Attributes:
        sources: run folders, folders of evaluations, or nuScenes results files.
        split: split of the evaluations; empty for the validation split of a run's config.
        out: folder of the page.
        unit: unit that the bootstrap draws: samples, or scenes with all of their samples, which
            gives the wider intervals.
        replicates: number of bootstrap draws.
        data: location of the data, if other than in the configs.
    """

    sources: tyro.conf.Positional[tuple[Path, ...]]
    split: str = ""
    out: Path = Path("comparison")
    unit: Literal["samples", "scenes"] = "samples"
    replicates: Replicates = 200
    data: DataChoice = field(default_factory=DataChoice)


def main(arguments: list[str], prog: str) -> None:
    command = parse(Command, arguments, prog)
    if len(command.sources) < 2:
        raise ConfigError(f"{prog} compares at least two runs or evaluations; name another one.")

    from bev.lab.comparison import compare

    page = compare(
        command.sources,
        command.out,
        split=command.split,
        unit=command.unit,
        replicates=command.replicates,
        data=command.data,
    )
    print(f"written to {page}")
