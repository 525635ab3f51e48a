"""Time and size of a report of many samples, made by repeating the samples of an evaluation.

The boxes of a results file are repeated until there are as many samples as asked for; predicted
boxes are moved and scored anew each time, so that no two samples are alike. What an evaluation does
in any case, reading and matching, is not part of the figures of the report.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bev.data.frame import Frame
from bev.data.nuscenes.classes import NUSCENES
from bev.data.nuscenes.frames import IndexFrames, read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.data.nuscenes.sensor_data import CAMERAS
from bev.evaluation.breakdown.boxes import MatchedBoxes
from bev.evaluation.breakdown.breakdown import break_down
from bev.evaluation.detection.columns import BoxColumns
from bev.evaluation.detection.matches import match_classes
from bev.evaluation.nuscenes.matched import matched_boxes
from bev.evaluation.nuscenes.official import counted_boxes
from bev.evaluation.nuscenes.submission import submission_rows, write_submission
from bev.evaluation.scores import Scores
from bev.evaluation.table import Result
from bev.lab.benchmark.records import Place, write_csv
from bev.lab.synthetic import PRESETS, make_world
from bev.visualization.report.mosaics import sample_mosaics
from bev.visualization.report.page import Page, write_page
from bev.visualization.report.pictures import extremes
from bev.visualization.report.provenance import provenance


@dataclass(frozen=True)
class Row:
    """Seconds of a part of the work on a report; size of the page in bytes, of the whole."""

    name: str
    seconds: float
    size: int = 0


def run(out: Path, place: Place | None, samples: int, boxes: int, pictures: int) -> list[Row]:
    """Write ``report.html`` and ``report.csv`` into ``out``, and print times and sizes.

    Args:
        out: output folder.
        place: evaluation whose samples are repeated; None for a synthetic world.
        samples: number of samples.
        boxes: predicted boxes of each sample; those of the results file, and false ones.
        pictures: number of best samples with pictures, and of worst ones.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = place or _made(Path(folder))
        index = open_index(place.root, place.version)
        given = matched_boxes(counted_boxes(place.results, index, place.split), index)
        frames = read_frames(index, place.split, CAMERAS, missing="skip")
        rows: list[Row] = []
        with _timed(rows, "match (part of any evaluation)"):
            repeated = repeat(given, samples, boxes)
        with _timed(rows, "breakdown"):
            breakdown = break_down(repeated)
        chosen = extremes(breakdown.samples, pictures)
        with _timed(rows, "pictures"):
            mosaics = sample_mosaics(
                breakdown, (*chosen.worst, *chosen.best), _Repeated(frames), NUSCENES
            )
        metrics = repeated.matches.metrics(np.ones(samples, int))
        classes = {name: {"AP": ap} for name, ap in metrics.mean_dist_aps.items()}
        figures = {"mAP": metrics.mean_ap, "NDS": metrics.nd_score}
        with _timed(rows, "page"):
            page = Page(
                f"{samples} samples, repeated from {place.split}",
                result=Result({"head": Scores(figures, classes)}),
                breakdown=breakdown,
                extremes=chosen,
                mosaics=mosaics,
                provenance=provenance(),
            )
            path = write_page(out, page)
    total = sum(row.seconds for row in rows[1:])
    rows.append(Row("report", total, path.stat().st_size))
    for row in rows:
        size = f"{row.size / 1e6:8.1f} MB" if row.size else ""
        print(f"{row.name:32}{row.seconds:8.2f} s{size}")
    write_csv(rows, out / "report.csv")
    return rows


def repeat(given: MatchedBoxes, samples: int, boxes: int, seed: int = 0) -> MatchedBoxes:
    """Repeat the samples of an evaluation, with moved and false predicted boxes.

    Args:
        given: evaluation of the S samples to repeat.
        samples: number of samples to make.
        boxes: predicted boxes of each sample.
        seed: random seed.
    """
    rng = np.random.default_rng(seed)
    size = len(given.matches.tokens)
    copies = -(-samples // size)
    names = given.matches.tokens * copies
    tokens = tuple(f"{name}-{n // size:04d}" for n, name in enumerate(names))[:samples]
    predicted, gt_boxes = (
        _copied(one, size, copies, tokens) for one in (given.predicted, given.gt_boxes)
    )
    own = np.bincount(predicted.sample, minlength=samples)
    first = np.searchsorted(predicted.sample, np.arange(samples))
    lacking = np.where(own > 0, np.maximum(boxes - own, 0), 0)
    sample = np.repeat(np.arange(samples), lacking)
    false = first[sample] + rng.integers(0, 1 << 30, len(sample)) % own[sample]
    joined = predicted.take(np.concatenate([np.arange(len(predicted)), false]))
    is_false = np.arange(len(joined)) >= len(predicted)
    apart = np.where(is_false, 15.0, 0.4)[:, None] * rng.normal(size=(len(joined), 3))
    score = rng.random(len(joined)) ** np.where(is_false, 4.0, 0.5)
    joined = replace(joined, translation=joined.translation + apart, score=score)
    matches = match_classes(joined, gt_boxes, given.kinds, given.matches.names)
    return MatchedBoxes(
        matches,
        joined.numbered(matches.tokens),
        gt_boxes.numbered(matches.tokens),
        tuple(given.scenes[given.matches.tokens.index(_origin(t))] for t in matches.tokens),
        given.descriptions,
    )


def _copied(boxes: BoxColumns, size: int, copies: int, tokens: tuple[str, ...]) -> BoxColumns:
    """Boxes of copies of the samples, ordered by sample, of the first ``len(tokens)``."""
    ordered = np.argsort(boxes.sample, kind="stable")
    some = boxes.take(np.tile(ordered, copies))
    sample = some.sample + size * np.repeat(np.arange(copies), len(boxes))
    some = replace(some, tokens=tokens, sample=sample)
    return some.take(sample < len(tokens))


def _origin(token: str) -> str:
    return token.rpartition("-")[0]


class _Repeated:
    """Key frames by the tokens of their copies."""

    def __init__(self, frames: IndexFrames) -> None:
        self.place = {token: number for number, token in enumerate(frames.tokens)}
        self.frames = frames

    def __call__(self, token: str) -> Frame:
        return replace(self.frames[self.place[_origin(token)]], token=token)


def _made(folder: Path) -> Place:
    """A synthetic world, and its ground truth as predictions."""
    root = make_world(folder / "world", PRESETS["tiny"], workers=1, progress=False)
    place = Place(folder / "results_nusc.json", root, "v1.0-synthetic", "synthetic_val")
    frames = read_frames(open_index(root, place.version), place.split, cameras=())
    write_submission(
        place.results,
        {f.token: submission_rows(f.token, f.boxes, f.global_from_ego) for f in frames},
    )
    return place


@contextmanager
def _timed(rows: list[Row], name: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    rows.append(Row(name, round(time.perf_counter() - begin, 3)))
