"""``bevlab evaluate RESULTS.json``, which imports neither torch nor nuscenes-devkit."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from bev.bounds import Bound, Count, Natural
from bev.data.nuscenes.index import Index
from bev.data.nuscenes.index_cache import open_index
from bev.errors import ConfigError, NoGroundTruthError
from bev.evaluation.circumstances import range_limit
from bev.evaluation.nuscenes.official import CountedBoxes, counted_boxes, score
from bev.evaluation.scores import Scores
from bev.evaluation.table import Result
from bev.lab.analysis.displacement import displacement_figures
from bev.options import parse
from bev.visualization.report.curves import draw_evaluation
from bev.visualization.report.page import Page, write_page
from bev.visualization.report.provenance import provenance
from bev.visualization.report.results import page_of_results

Range = Annotated[float, Bound(above=0, finite=False)]  # evaluation range, metres


@dataclass(frozen=True)
class Place:
    """Location of the ground truth.

    Attributes:
        root: folder of the data set.
        version: nuScenes version.
    """

    root: Path | None = None
    version: str | None = None


@dataclass(frozen=True)
class Command:
    """Score a nuScenes results file by the official metrics.

    Attributes:
        source: results file of a submission (.json).
        split: official or custom split.
        out: output folder; defaults to the folder of the results file.
        within: evaluation range, metres; boxes farther from the ego vehicle are ignored, as are
            boxes beyond the official range of their class.
        displacement: numbers of key frames; for each, report the error (m/s) of velocities
            computed from detected positions of an object that many key frames apart, see
            ``bev.lab.analysis.displacement``.
        pictures: number of best and of worst samples with pictures of their cameras on the report
            page. 0, the default, draws each sample from its boxes alone: pictures need torch, and
            half a second each.
        data: location of the data.
    """

    source: tyro.conf.Positional[Path]
    split: str = ""
    out: Path | None = None
    within: Range = math.inf
    displacement: tuple[Count, ...] = ()
    pictures: Natural = 0
    data: Place = field(default_factory=Place)


def main(arguments: list[str], prog: str) -> None:
    command = parse(Command, arguments, prog)
    source, data, split = command.source, command.data, command.split
    if not (data.root and data.version and split):
        raise ConfigError(
            f"Results file {source} does not name its data:"
            " give --data.root, --data.version and --split."
        )
    notices = range_limit(command.within)
    folder = command.out or source.parent / "_".join(notices).replace(" ", "_")
    index = open_index(data.root, data.version)
    try:
        boxes = counted_boxes(source, index, split, command.within)
        result = Result({"head": score(boxes, folder).scores()})
    except NoGroundTruthError as error:
        print(error)
        return
    if command.displacement:
        result = with_displacement(result, boxes, index, command.displacement)
    page = begin(folder, source, split, notices, result)
    finish(folder, page_of_results(page, boxes, index, split, command.pictures))


def with_displacement(
    result: Result, boxes: CountedBoxes, index: Index, displacement: Sequence[int]
) -> Result:
    """Add velocity errors by displacement to the result."""
    figures = displacement_figures(boxes, index, displacement)
    return replace(result, heads={**result.heads, "displacement": Scores(figures)})


def begin(
    folder: Path, source: Path, split: str, notices: Mapping[str, str], result: Result
) -> Page:
    """Print the metrics, draw their curves, and begin the report, which may take seconds more."""
    print(f"{split}\n{result.text()}", flush=True)
    draw_evaluation(folder)
    return Page(
        title=f"{source.stem} on {split}",
        subtitle=str(source),
        notices=[*notices.values()],
        result=result,
        provenance=provenance(),
    )


def finish(folder: Path, page: Page) -> None:
    """Write the report page and name its folder."""
    print(f"\nwritten to {write_page(folder, page).parent}")
