"""The velocity that places tell: errors of place that are known give errors worked by hand."""

import math

import numpy as np
import pytest

from bev.data.index_cache import open_index
from bev.data.nuscenes import read_frames
from bev.evaluation import truth_submission, write_submission
from bev.evaluation.displacement import displacement_error
from bev.evaluation.official import counted_boxes

SPLIT = "synthetic_train"  # two scenes of four key frames, half a second apart


@pytest.fixture(scope="module")
def told(made_world, tmp_path_factory):
    """The displacement's error after some key frames, where each frame's boxes lie beside."""
    index = open_index(made_world, "v1.0-synthetic")
    frames = list(read_frames(index, SPLIT, cameras=()))
    folder = tmp_path_factory.mktemp("told")

    def error(back, beside):
        rows = truth_submission(frames)
        for number, frame in enumerate(frames):
            for row in rows[frame.token]:
                row["translation"] = [*np.add(row["translation"][:2], beside(number % 4)), 0.0]
        path = write_submission(folder / "results_nusc.json", rows)
        return displacement_error(counted_boxes(path, index, SPLIT), index, back)

    return error


def test_an_error_that_stays_does_not_count(told):
    """Objects that move are among them: the truth is their own displacement."""
    for back in (1, 2, 3):
        assert told(back, lambda _: (0.3, -0.2)) == pytest.approx(0, abs=1e-4)


def test_an_error_that_turns_counts_by_the_time_between(told):
    def turning(number):
        return (0.15, 0.2) if number % 2 else (-0.15, -0.2)

    assert told(1, turning) == pytest.approx(0.5 / 0.5, rel=0.02)
    assert told(2, turning) == pytest.approx(0, abs=1e-4)
    assert told(3, turning) == pytest.approx(0.5 / 1.5, rel=0.02)


def test_what_is_not_found_twice_does_not_count(told):
    """Of four frames the second and the third are off by more than a hit may be."""

    def lost(number):
        return (0.0, 30.0) if number in (1, 2) else (0.2 * number, 0.0)

    assert math.isnan(told(1, lost)) and math.isnan(told(2, lost)) and math.isnan(told(4, lost))
    assert told(3, lost) == pytest.approx(0.6 / 1.5, rel=0.02)
