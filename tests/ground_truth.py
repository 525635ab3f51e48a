"""Submissions that predict the ground truth."""

from collections.abc import Iterable

from bev.data.frame import Frame
from bev.evaluation.nuscenes.submission import submission_rows


def gt_submission(frames: Iterable[Frame], min_points: int = 1) -> dict[str, list[dict]]:
    """The ground truth of each frame written as if it were predicted.

    Args:
        frames: key frames with their boxes.
        min_points: leave out boxes with fewer lidar and radar points. The devkit drops ground truth
            without any point but would count such a prediction as false, so 0 scores lower.

    Returns:
        Rows by sample token, every frame a key, for ``write_submission``.
    """
    return {
        frame.token: submission_rows(
            frame.token, frame.boxes[frame.num_points >= min_points], frame.global_from_ego
        )
        for frame in frames
    }
