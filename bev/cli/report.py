"""Lay runs or evaluations side by side on one page.

bevlab report RUN_A RUN_B …                    # run folders, or evaluation folders of runs
bevlab report RUN_A [RUN_B …] --svg --pdf      # figures of training and precision-recall curves
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
        out: folder of the page and the figures.
        unit: unit that the bootstrap draws: samples, or scenes with all of their samples, which
            gives the wider intervals.
        replicates: number of bootstrap draws.
        svg, pdf: also write figures of the training curves and precision-recall curves, for papers;
            one run or evaluation suffices for these.
        data: location of the data, if other than in the configs.
    """

    sources: tyro.conf.Positional[tuple[Path, ...]]
    split: str = ""
    out: Path = Path("comparison")
    unit: Literal["samples", "scenes"] = "samples"
    replicates: Replicates = 200
    svg: bool = False
    pdf: bool = False
    data: DataChoice = field(default_factory=DataChoice)


def main(arguments: list[str], prog: str) -> None:
    command = parse(Command, arguments, prog)
    formats = [name for name in ("svg", "pdf") if getattr(command, name)]
    if len(command.sources) < (1 if formats else 2):
        raise ConfigError(
            f"{prog} compares at least two runs or evaluations; name another one, or ask for the"
            " figures of one by --svg or --pdf."
        )

    from bev.lab.comparison import compare

    written = compare(
        command.sources,
        command.out,
        split=command.split,
        unit=command.unit,
        replicates=command.replicates,
        data=command.data,
        formats=formats,
    )
    if not written:
        raise ConfigError(
            f"{command.sources[0]} has neither boxes nor training curves, so there is no figure of"
            " it; name the folder of a run."
        )
    print(f"written: {', '.join(map(str, written))}")
