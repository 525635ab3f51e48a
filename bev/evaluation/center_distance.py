"""Scoring of boxes of any label space: average precision by centre distance.

The metric is that of nuScenes (Caesar et al. 2020, section 3.1), applied to the classes of any
source, with the arithmetic and the file formats of the devkit: AP is the mean over hits within 0.5,
1, 2 and 4 m, and the errors are those of the hits within 2 m. Two rules differ: one range applies
to all classes, and every given ground-truth box counts (callers may leave out boxes without lidar
points). NDS is specific to nuScenes and is not computed.

An error is reported if it is defined for a class: heading, velocity and attributes according to its
``ObjectClass``, the latter two only if the ground truth contains any. As in the devkit, a class
without ground truth has AP 0 and errors 1; the note names such classes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bev.data.labels import LabelSpace, ObjectClass
from bev.errors import DataError, NoGroundTruthError, SubmissionError
from bev.evaluation.detection.columns import BoxColumns
from bev.evaluation.detection.matches import Matches, match_classes
from bev.evaluation.detection.metrics import (
    DISTANCES,
    ERROR_DISTANCE,
    ERROR_NAMES,
    ERRORS,
    MAX_BOXES,
)
from bev.evaluation.results_file import check_boxes
from bev.evaluation.scores import EVALUATE_AGAIN, SUMMARY, Scores, write_scores
from bev.geometry import Boxes3D
from bev.plain_json import read_json

MOVING_SPEED = 0.2  # m/s, threshold of the attribute rule of CenterPoint and BEVDet


@dataclass(frozen=True)
class BoxScores:
    """Scores of predicted boxes, with the underlying curves.

    Attributes:
        scores: mAP, mATE, mASE, mAOE, mAVE, mAAE; errors that are not defined for any class are
            left out.
        summary: content of ``metrics_summary.json``, with the keys of the devkit: ``mean_ap``,
            ``mean_dist_aps``, ``label_aps``, ``tp_errors`` and ``label_tp_errors``; also ``within``
            (metres, null for no limit) and ``note``.
        details: content of ``metrics_details.json``, as in the devkit: for each ``class:distance``,
            recall from 0 to 1 in 101 steps, and precision, confidence and the five errors at these
            recalls.
    """

    scores: Scores
    summary: dict
    details: dict[str, dict[str, list[float]]]

    def write(self, folder: Path) -> None:
        """Write both files to the folder of an evaluation, which is created if needed."""
        write_scores(folder, self.summary, self.details)


def read_scores(folder: Path) -> Scores:
    """Read the scores that :meth:`BoxScores.write` wrote to a folder."""
    return read_json(folder / SUMMARY, _scores, SubmissionError, EVALUATE_AGAIN)


def score_boxes(
    predicted: Mapping[str, Boxes3D],
    gt_boxes: Mapping[str, Boxes3D],
    labels: LabelSpace,
    within: float = math.inf,
) -> BoxScores:
    """Score predicted boxes; see :func:`match_boxes` for the arguments and errors."""
    matches = match_boxes(predicted, gt_boxes, labels, within)
    metrics = matches.metrics(np.ones(len(matches.tokens), dtype=int))
    absent = [name for name in metrics.label_aps if not matches.classes[name].num_gt.any()]
    summary = {
        **metrics.summary(),
        "within": None if math.isinf(within) else within,
        "note": f"AP: mean over hits within {', '.join(f'{at:g}' for at in DISTANCES)} m between"
        f" centres; errors: of hits within {ERROR_DISTANCE:g} m;"
        f" boxes{_reach(within) or ' at any distance'}."
        + (f" No ground truth, hence AP 0 and errors 1: {', '.join(absent)}." * bool(absent)),
    }
    scores = replace(_scores(summary), num_gt=matches.num_gt)
    return BoxScores(scores, summary, matches.details())


def match_boxes(
    predicted: Mapping[str, Boxes3D],
    gt_boxes: Mapping[str, Boxes3D],
    labels: LabelSpace,
    within: float = math.inf,
) -> Matches:
    """Match predicted boxes with ground truth, so that any resample can be scored quickly.

    The order of the samples does not matter: equal scores are ranked by sample token.

    Args:
        predicted: predicted boxes by sample token, in the sample's reference ego frame; the best
            500 of each sample are used. An unknown velocity counts as 0, and an unknown attribute
            follows from the speed, as in a nuScenes submission. Samples without an entry in
            ``gt_boxes`` are left out.
        gt_boxes: ground-truth boxes of every sample, in the same frame; velocity NaN and attribute
            -1 where unknown.
        labels: classes and attributes of the predicted and the ground-truth boxes.
        within: maximum distance in x and y, metres; boxes whose centre is at this distance from the
            ego origin or farther away do not count.

    Raises:
        SubmissionError: if a sample has no predictions (use an empty ``Boxes3D`` for no boxes), or
            predicted boxes cannot be scored.
        DataError: if ground truth cannot be scored.
        NoGroundTruthError: if there is none at all, so that no metric is defined.
    """
    detections, annotations = counted_columns(predicted, gt_boxes, labels, within)
    return match_columns(detections, annotations, labels)


def counted_columns(
    predicted: Mapping[str, Boxes3D],
    gt_boxes: Mapping[str, Boxes3D],
    labels: LabelSpace,
    within: float = math.inf,
) -> tuple[BoxColumns, BoxColumns]:
    """The predicted and ground-truth boxes that count, in the ego frame of their sample.

    See :func:`match_boxes` for the arguments and errors.
    """
    missing = sorted(set(gt_boxes) - set(predicted))
    if missing:
        raise SubmissionError(
            f"Predictions lack {len(missing)} of {len(gt_boxes)} samples, the first is"
            f" {missing[0]}; give an entry for every sample, an empty Boxes3D"
            " if nothing was detected."
        )
    tokens, best, annotated = sorted(gt_boxes), [], []
    for token in tokens:
        boxes = predicted[token].to("cpu")
        check_boxes(token, boxes, labels)
        best.append(boxes[torch.argsort(boxes.score, descending=True, stable=True)[:MAX_BOXES]])
        annotated.append(gt_boxes[token].to("cpu"))
        check_boxes(token, annotated[-1], labels, "ground-truth", DataError)
    detections, annotations = (
        _counted(tokens, boxes, labels, within) for boxes in (best, annotated)
    )
    if not len(annotations):
        raise NoGroundTruthError(
            f"None of the {len(gt_boxes)} samples has ground truth of"
            f" {', '.join(labels.names) or 'any class'}{_reach(within)}, so boxes cannot be scored;"
            " choose a split with ground truth."
        )
    detections = replace(detections, velocity=np.nan_to_num(detections.velocity))
    detections = replace(detections, attribute=_attributes(detections, labels))
    return detections, annotations


def match_columns(detections: BoxColumns, annotations: BoxColumns, labels: LabelSpace) -> Matches:
    """Match boxes from :func:`counted_columns`."""
    kinds = [labels.classes[label] for label in annotations.label]
    moving = np.array([kind.moves for kind in kinds])
    described = np.array([bool(kind.attributes) for kind in kinds])
    known = {
        "vel_err": (moving & np.isfinite(annotations.velocity).all(axis=1)).any(),
        "attr_err": (described & (annotations.attribute >= 0)).any(),
    }
    errors = tuple(error for error in ERRORS if known.get(error, True))
    return match_classes(detections, annotations, labels.classes, errors=errors)


def _counted(
    tokens: Sequence[str], by_sample: Sequence[Boxes3D], labels: LabelSpace, within: float
) -> BoxColumns:
    """The boxes of all samples that count, in the same order."""
    boxes = Boxes3D.cat(by_sample).double()
    counts = torch.tensor([len(own) for own in by_sample], dtype=torch.long)
    sample = torch.arange(len(tokens)).repeat_interleave(counts)
    keep = boxes.center[:, :2].norm(dim=1) < within
    boxes, sample = boxes[keep], sample[keep]
    zero, half = torch.zeros_like(boxes.yaw), boxes.yaw / 2
    rotation = torch.stack([half.cos(), zero, zero, half.sin()], dim=1)
    columns = (sample, boxes.label, boxes.attribute, boxes.center, boxes.size[:, [1, 0, 2]],
               rotation, boxes.velocity, boxes.score, torch.full_like(sample, -1),
               boxes.visibility)  # fmt: skip
    return BoxColumns(tuple(tokens), labels.names, labels.attributes, *(c.numpy() for c in columns))


def _attributes(boxes: BoxColumns, labels: LabelSpace) -> np.ndarray:
    """Attributes of predicted boxes; one that is not predicted follows from the speed."""
    numbers = {name: number for number, name in enumerate(labels.attributes)} | {"": -1}
    found = []
    for label, attribute, speed in zip(
        boxes.label, boxes.attribute, np.hypot(*boxes.velocity.T), strict=True
    ):
        kind = labels.classes[label]
        predicted = attribute >= 0 and kind.attributes
        found.append(attribute if predicted else numbers[attribute_by_speed(kind, speed)])
    return np.array(found, np.int64)


def attribute_by_speed(kind: ObjectClass, speed: float) -> str:
    """Return the default attribute of a box by its speed (m/s); empty if there is none."""
    return kind.moving if speed > MOVING_SPEED else kind.at_rest


def _reach(within: float) -> str:
    return "" if math.isinf(within) else f" within {within:g} m of the ego origin"


def _scores(summary: Mapping) -> Scores:
    """Convert the content of a ``metrics_summary.json``."""
    means = {error: float(summary["tp_errors"][error]) for error in ERROR_NAMES}
    shown = {error: name for error, name in ERROR_NAMES.items() if not math.isnan(means[error])}
    by_class = summary["label_tp_errors"]
    return Scores(
        {
            "mAP": float(summary["mean_ap"]),
            **{f"m{name}": means[error] for error, name in shown.items()},
        },
        {
            kind: {"AP": float(ap)}
            | {name: float(by_class[kind][error]) for error, name in shown.items()}
            for kind, ap in summary["mean_dist_aps"].items()
        },
        str(summary["note"]),
    )
