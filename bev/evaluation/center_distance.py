"""Scoring of boxes of any label space: average precision by the distance of centres.

The metric is nuScenes' (Caesar et al. 2020, section 3.1) over a source's own classes, with the
devkit's arithmetic and files: AP is the mean over hits within 0.5, 1, 2 and 4 m, errors are those
of the hits within 2 m. It differs in what counts: one range for all classes, and every box of the
ground truth that it is given (a caller leaves out boxes without lidar points, if it wants to). NDS
is nuScenes' own and is not part of it.

An error is a figure where it has a meaning for a class: heading, velocity and attributes by its
``ObjectClass``, the latter two only where the ground truth has any. As in the devkit, a class
without ground truth has AP 0 and errors 1; the note names such classes.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bev.data.labels import LabelSpace, ObjectClass
from bev.errors import DataError, SubmissionError
from bev.evaluation.matches import (
    DISTANCES,
    ERROR_DISTANCE,
    ERRORS,
    Box,
    Matches,
    match_classes,
    resample,
)
from bev.evaluation.results_file import check_boxes
from bev.evaluation.scores import DETAILS, SUMMARY, Scores
from bev.files import replacing
from bev.geometry import Boxes3D

MAX_BOXES = 500  # predicted, a sample, by the rules of nuScenes' benchmark
MOVING_SPEED = 0.2  # m/s, the threshold of CenterPoint's and BEVDet's attribute rule

# Columns by class of the devkit's errors; the means over classes have an "m" before them.
_COLUMNS = {
    "trans_err": "ATE",
    "scale_err": "ASE",
    "orient_err": "AOE",
    "vel_err": "AVE",
    "attr_err": "AAE",
}


@dataclass(frozen=True)
class BoxScores:
    """The figures of predicted boxes, and the curves behind them.

    Attributes:
        scores: mAP, mATE, mASE, mAOE, mAVE, mAAE; without the errors that have no meaning for any
            class.
        summary: content of ``metrics_summary.json``, by the devkit's keys: ``mean_ap``,
            ``mean_dist_aps``, ``label_aps``, ``tp_errors`` and ``label_tp_errors``; also
            ``within`` (metres, null for any distance) and ``note``.
        details: content of ``metrics_details.json``, as the devkit's: by ``class:distance``, recall
            0 to 1 in 101 steps, and over it precision, confidence and the five errors.
    """

    scores: Scores
    summary: dict
    details: dict[str, dict[str, list[float]]]

    def write(self, folder: Path) -> None:
        """Write both files into an evaluation's folder, which is made where needed."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in ((SUMMARY, self.summary), (DETAILS, self.details)):
            with replacing(folder / name) as partial:
                partial.write_text(json.dumps(content, indent=2))


def read_scores(folder: Path) -> Scores:
    """The figures that :meth:`BoxScores.write` left in a folder."""
    return _scores(json.loads((folder / SUMMARY).read_bytes()))


def score_boxes(
    predicted: Mapping[str, Boxes3D],
    gt_boxes: Mapping[str, Boxes3D],
    labels: LabelSpace,
    within: float = math.inf,
) -> BoxScores:
    """Score predicted boxes; for the arguments and errors raised see :func:`match_boxes`."""
    matches = match_boxes(predicted, gt_boxes, labels, within)
    once = np.ones(len(matches.tokens), dtype=int)
    metrics, names = matches.metrics(once), [kind.name for kind in matches.kinds]
    errors = {
        name: {error: float(metrics.get_label_tp(name, error)) for error in ERRORS}
        for name in names
    }
    absent = [name for name in names if not matches.classes[name].num_gt.any()]
    summary = {
        "label_aps": {
            name: {str(at): metrics.get_label_ap(name, at) for at in DISTANCES} for name in names
        },
        "mean_dist_aps": {name: float(ap) for name, ap in metrics.mean_dist_aps.items()},
        "mean_ap": metrics.mean_ap,
        "label_tp_errors": errors,
        "tp_errors": {error: _mean([own[error] for own in errors.values()]) for error in ERRORS},
        "within": None if math.isinf(within) else within,
        "note": f"AP: mean over hits within {', '.join(f'{at:g}' for at in DISTANCES)} m between"
        f" centres; errors: of hits within {ERROR_DISTANCE:g} m;"
        f" of boxes{_reach(within) or ' at any distance'}."
        + (f" Without ground truth, thus AP 0 and errors 1: {', '.join(absent)}." * bool(absent)),
    }
    details = {}
    for name in names:
        resampled = resample(matches.classes[name], once)
        for at in DISTANCES:
            curves = resampled.curves(at)
            details[f"{name}:{at}"] = {key: values.tolist() for key, values in curves.items()}
    return BoxScores(_scores(summary), summary, details)


def match_boxes(
    predicted: Mapping[str, Boxes3D],
    gt_boxes: Mapping[str, Boxes3D],
    labels: LabelSpace,
    within: float = math.inf,
) -> Matches:
    """Match predicted boxes with ground truth, so that mAP of any resample follows fast.

    The order of the samples does not matter: equal scores are ranked by sample token.

    Args:
        predicted: by sample token, in the sample's reference ego frame; of each sample the best
            500. An unknown velocity is 0, and an unknown attribute follows from the speed, as in a
            nuScenes submission. Samples without ground truth are left out.
        gt_boxes: of every sample, in the same frame; velocity NaN and attribute -1 where unknown.
        labels: classes and attributes of both.
        within: metres in x and y; boxes whose centre is not nearer to the ego origin than this do
            not count.

    Raises:
        SubmissionError: where a sample lacks predictions (no boxes are an empty ``Boxes3D``), or
            predicted boxes cannot be scored.
        DataError: where ground truth cannot be scored, or there is none at all: no figure has a
            meaning then.
    """
    missing = sorted(set(gt_boxes) - set(predicted))
    if missing:
        raise SubmissionError(
            f"Predictions lack {len(missing)} of {len(gt_boxes)} samples, the first is {missing[0]};"
            " predict for every sample, with no boxes where nothing is found."
        )
    found, there = [], []
    for token in sorted(gt_boxes):
        best = predicted[token].to("cpu")
        check_boxes(token, best, labels)
        best = best[torch.argsort(best.score, descending=True, stable=True)[:MAX_BOXES]]
        found += _counted(token, best, labels, within, predicted=True)
        own = gt_boxes[token].to("cpu")
        check_boxes(token, own, labels, "ground-truth", DataError)
        there += _counted(token, own, labels, within, predicted=False)
    if not there:
        raise DataError(
            f"None of the {len(gt_boxes)} samples has ground truth of"
            f" {', '.join(labels.names) or 'any class'}{_reach(within)}, so boxes cannot be scored;"
            " name a split that has some."
        )
    moving = {kind.name for kind in labels.classes if kind.moves}
    described = {kind.name for kind in labels.classes if kind.attributes}
    known = {
        "vel_err": any(
            b.detection_name in moving and math.isfinite(sum(b.velocity)) for b in there
        ),
        "attr_err": any(b.detection_name in described and b.attribute_name for b in there),
    }
    errors = tuple(error for error in ERRORS if known.get(error, True))
    return match_classes(found, there, gt_boxes, labels.classes, errors=errors)


def _counted(
    token: str, boxes: Boxes3D, labels: LabelSpace, within: float, predicted: bool
) -> Iterator[Box]:
    """The boxes of a sample that count, in their order, in the devkit's form."""
    boxes = boxes.double()
    boxes = boxes[boxes.center[:, :2].norm(dim=1) < within]
    zero, half = torch.zeros_like(boxes.yaw), boxes.yaw / 2
    rotation = torch.stack([half.cos(), zero, zero, half.sin()], dim=1)
    velocity = torch.nan_to_num(boxes.velocity) if predicted else boxes.velocity
    for center, size, turned, speed, label, score, number in zip(
        boxes.center.tolist(),
        boxes.size[:, [1, 0, 2]].tolist(),
        rotation.tolist(),
        velocity.tolist(),
        boxes.label.tolist(),
        boxes.score.tolist(),
        boxes.attribute.tolist(),
        strict=True,
    ):
        kind = labels.classes[label]
        attribute = labels.attributes[number] if number >= 0 else ""
        if predicted and not (attribute and kind.attributes):
            attribute = attribute_by_speed(kind, math.hypot(*speed))
        yield Box(token, center, size, turned, speed, kind.name, score, attribute)


def attribute_by_speed(kind: ObjectClass, speed: float) -> str:
    """The attribute of a box that has none, by its speed in m/s; empty for none."""
    return kind.moving if speed > MOVING_SPEED else kind.at_rest


def _reach(within: float) -> str:
    return "" if math.isinf(within) else f" within {within:g} m of the ego origin"


def _mean(values: list[float]) -> float:
    """The devkit's mean over classes: of those that have the error; NaN where none has."""
    return math.nan if all(map(math.isnan, values)) else float(np.nanmean(values))


def _scores(summary: Mapping) -> Scores:
    """From the content of a ``metrics_summary.json``."""
    means = {error: summary["tp_errors"][error] for error in _COLUMNS}
    shown = {error: name for error, name in _COLUMNS.items() if not math.isnan(means[error])}
    by_class = summary["label_tp_errors"]
    return Scores(
        {"mAP": summary["mean_ap"], **{f"m{name}": means[error] for error, name in shown.items()}},
        {
            kind: {"AP": ap, **{name: by_class[kind][error] for error, name in shown.items()}}
            for kind, ap in summary["mean_dist_aps"].items()
        },
        summary["note"],
    )
