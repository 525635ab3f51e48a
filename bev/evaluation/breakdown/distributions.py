"""Distributions of the errors of hits within 2 m: place, heading and velocity."""

from dataclasses import dataclass

import numpy as np

from bev.data.labels import ObjectClass
from bev.evaluation.breakdown.boxes import MatchedBoxes
from bev.evaluation.detection.matches import meaningful
from bev.evaluation.detection.metrics import DISTANCES, ERROR_DISTANCE

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class ErrorKind:
    """A kind of error.

    Attributes:
        name: short name.
        title: error, with its unit.
        rule: definition, one sentence.
        edges: edges of its histogram; values beyond count in the outer bins.
        needs: name of the error in the devkit that must be defined for a class.
    """

    name: str
    title: str
    rule: str
    edges: np.ndarray
    needs: str


KINDS = (
    ErrorKind("translation", "Distance of the centres (m)", "Horizontal distance of the centres of"
              " a hit.", np.linspace(0, 2, 21), "trans_err"),
    ErrorKind("radial", "Error along the line of sight (m)", "Positive: the detection is too far"
              " from the ego vehicle. For cameras, an error of depth.", np.linspace(-2, 2, 21),
              "trans_err"),
    ErrorKind("tangential", "Error across the line of sight (m)", "Positive: the detection lies"
              " counter-clockwise of the object, seen from above.", np.linspace(-2, 2, 21),
              "trans_err"),
    ErrorKind("orientation", "Error of the heading (degrees)", "Smallest angle between the"
              " headings; 180 is back to front.", np.linspace(0, 180, 19), "orient_err"),
    ErrorKind("velocity", "Error of the velocity (m/s)", "Length of the difference of the"
              " velocities.", np.linspace(0, 5, 21), "vel_err"),
)  # fmt: skip


@dataclass(frozen=True)
class ErrorDistribution:
    """Distribution of one kind of error, by class.

    Attributes:
        kind: kind of error.
        counts: (bins,) counts of the histogram, by class name; classes without any are left out.
        quantiles: values at ``QUANTILES``, by class name.
    """

    kind: ErrorKind
    counts: dict[str, np.ndarray]
    quantiles: dict[str, np.ndarray]


def error_distributions(boxes: MatchedBoxes) -> list[ErrorDistribution]:
    """Distributions of all kinds of errors, of hits of any score."""
    found = []
    for kind in KINDS:
        counts, quantiles = {}, {}
        for label in boxes.kinds:
            if kind.needs not in meaningful(label) or kind.needs not in boxes.matches.errors:
                continue
            values = _values(boxes, label, kind)
            values = values[~np.isnan(values)]
            if len(values):
                inside = values.clip(kind.edges[0], kind.edges[-1])
                counts[label.name] = np.histogram(inside, kind.edges)[0]
                quantiles[label.name] = np.quantile(values, QUANTILES)
        found.append(ErrorDistribution(kind, counts, quantiles))
    return found


def _values(boxes: MatchedBoxes, label: ObjectClass, kind: ErrorKind) -> np.ndarray:
    """(hits,) errors of a class."""
    matches, at = boxes.of_class(label.name), DISTANCES.index(ERROR_DISTANCE)
    if kind.name not in ("radial", "tangential"):
        values = np.asarray(matches.errors[kind.needs][at])
        return np.degrees(values) if kind.name == "orientation" else values
    hit = matches.gt_row[at] >= 0
    gt_place = boxes.gt_boxes.translation[matches.gt_row[at][hit], :2]
    apart = boxes.predicted.translation[matches.row[hit], :2] - gt_place
    sight = gt_place / np.maximum(np.hypot(*gt_place.T), 1e-9)[:, None]
    if kind.name == "radial":
        return (apart * sight).sum(axis=1)
    return sight[:, 0] * apart[:, 1] - sight[:, 1] * apart[:, 0]
