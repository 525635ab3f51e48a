"""Mosaics of evaluated samples, from the boxes of the evaluation: no network is needed."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from bev.data.frame import Frame
from bev.data.labels import LabelSpace
from bev.data.source import Frames
from bev.data.storage.remote import present
from bev.errors import DataError
from bev.evaluation.breakdown.breakdown import Breakdown
from bev.evaluation.breakdown.samples import at_operating_scores
from bev.visualization.report.pictures import data_uri
from bev.visualization.results.sources import to_boxes
from bev.visualization.sheet import draw_sheet


def sample_mosaics(
    breakdown: Breakdown, rows: Sequence[int], frame_of: Callable[[str], Frame], space: LabelSpace
) -> dict[str, str]:
    """Draw samples with the ground truth that counts and the boxes at the operating scores.

    Args:
        breakdown: breakdown of the evaluation.
        rows: rows of the samples to draw.
        frame_of: key frame of a sample token, with the ego vehicle's as reference frame.
        space: label space of the boxes.

    Returns:
        Pictures by sample token, as data URIs; those whose images are missing are left out.
    """
    boxes = breakdown.boxes
    shown = boxes.predicted.take(at_operating_scores(boxes, breakdown.scores))
    found = {}
    for row in rows:
        token = boxes.matches.tokens[row]
        frame = frame_of(token)
        if not all(present(camera.path).is_file() for camera in frame.cameras):
            continue
        gt_boxes = to_boxes(boxes.gt_boxes.take(boxes.gt_boxes.sample == row))
        predicted = to_boxes(shown.take(shown.sample == row))
        try:
            sheet = draw_sheet(
                replace(frame, boxes=gt_boxes, num_points=None),
                predicted,
                space=space,
                score_threshold=-np.inf,
            )
        except DataError:  # an image or lidar file is damaged
            continue
        found[token] = data_uri(sheet)
    return found


def by_token(frames: Frames) -> Callable[[str], Frame]:
    """Function from the tokens of frames to the frames."""
    place = {token: number for number, token in enumerate(frames.tokens)}
    return lambda token: frames[place[token]]
