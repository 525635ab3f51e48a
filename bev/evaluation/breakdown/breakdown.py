"""The whole breakdown of an evaluation of boxes."""

from dataclasses import dataclass

from bev.evaluation.breakdown.boxes import MatchedBoxes
from bev.evaluation.breakdown.calibration import Calibration, calibrations
from bev.evaluation.breakdown.confusion import Confusion, confusion
from bev.evaluation.breakdown.distributions import ErrorDistribution, error_distributions
from bev.evaluation.breakdown.divisions import divisions
from bev.evaluation.breakdown.precision import GroupPrecision, group_precision
from bev.evaluation.breakdown.samples import SampleErrors, operating_scores, sample_errors


@dataclass(frozen=True)
class Breakdown:
    """Breakdown of an evaluation of boxes.

    Attributes:
        boxes: the boxes that count and their matches.
        scores: operating score of each class, see ``bev.evaluation.breakdown.samples``.
        groups: average precision by range, azimuth, visibility, size, speed, time and weather.
        confusion: confusion between the classes.
        errors: distributions of the errors.
        calibration: calibration of the scores by class name.
        samples: error of each sample.
    """

    boxes: MatchedBoxes
    scores: dict[str, float]
    groups: list[GroupPrecision]
    confusion: Confusion
    errors: list[ErrorDistribution]
    calibration: dict[str, Calibration]
    samples: SampleErrors


def break_down(boxes: MatchedBoxes) -> Breakdown:
    """Compute the breakdown of an evaluation."""
    scores = operating_scores(boxes)
    return Breakdown(
        boxes,
        scores,
        [group_precision(boxes, division) for division in divisions(boxes)],
        confusion(boxes, scores),
        error_distributions(boxes),
        calibrations(boxes),
        sample_errors(boxes, scores),
    )
