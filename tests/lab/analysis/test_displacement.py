"""Displacement errors of known position errors, compared with values worked out by hand."""

import math

import numpy as np
import pytest
from ground_truth import gt_submission

from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.evaluation.nuscenes.official import counted_boxes
from bev.evaluation.nuscenes.submission import write_submission
from bev.lab.analysis.displacement import Match, displacement_errors, errors_between

SPLIT = "synthetic_train"  # two scenes of four key frames, half a second apart


@pytest.fixture(scope="module")
def velocity_error(synthetic_world, tmp_path_factory):
    """Function that returns the velocity error by displacement over a number of key frames.

    The boxes of each frame are shifted by ``beside(number of the frame in its scene, class)``,
    metres.
    """
    index = open_index(synthetic_world, "v1.0-synthetic")
    frames = list(read_frames(index, SPLIT, cameras=()))
    folder = tmp_path_factory.mktemp("results")

    def error(back, beside):
        rows = gt_submission(frames)
        for number, frame in enumerate(frames):
            for row in rows[frame.token]:
                off = beside(number % 4, row["detection_name"])
                row["translation"] = [*np.add(row["translation"][:2], off), 0.0]
        path = write_submission(folder / "results_nusc.json", rows)
        return displacement_errors(counted_boxes(path, index, SPLIT), index, (back,))[
            back
        ].by_instance

    return error


def test_a_constant_position_error_gives_no_velocity_error(velocity_error):
    """Some objects move: the ground truth is their own displacement."""
    for back in (1, 2, 3):
        assert velocity_error(back, lambda *_: (0.3, -0.2)) == pytest.approx(0, abs=1e-4)


def test_an_alternating_position_error_is_divided_by_the_time_between_frames(velocity_error):
    def alternating(number, _):
        return (0.15, 0.2) if number % 2 else (-0.15, -0.2)

    assert velocity_error(1, alternating) == pytest.approx(0.5 / 0.5, rel=0.02)
    assert velocity_error(2, alternating) == pytest.approx(0, abs=1e-4)
    assert velocity_error(3, alternating) == pytest.approx(0.5 / 1.5, rel=0.02)


def test_objects_not_matched_in_both_frames_do_not_count(velocity_error):
    """In the second and third of four frames the errors exceed the matching distance."""

    def missed(number, _):
        return (0.0, 30.0) if number in (1, 2) else (0.2 * number, 0.0)

    assert (
        math.isnan(velocity_error(1, missed))
        and math.isnan(velocity_error(2, missed))
        and math.isnan(velocity_error(4, missed))
    )
    assert velocity_error(3, missed) == pytest.approx(0.6 / 1.5, rel=0.02)


def test_classes_have_equal_weight_and_static_classes_do_not_count(velocity_error):
    """The number of cars and the errors of cones and barriers make no difference."""

    def alternating(number, name):
        size = {"car": 0.2, "traffic_cone": 0.9, "barrier": 0.9}.get(name, 0.0)
        return (size, 0.0) if number % 2 else (-size, 0.0)

    def cars(number, name):
        return alternating(number, name) if name == "car" else (0.0, 0.0)

    assert velocity_error(1, alternating) == velocity_error(1, cars) > 0
    classes = 0.4 / 0.5 / velocity_error(1, cars)
    assert classes == pytest.approx(round(classes), rel=0.02) and 2 <= round(classes) <= 8


def test_the_nearest_earlier_detection_may_be_another_car():
    """Worked out by hand: two cars 10 m apart drive 8 m in a second; one pedestrian is alone."""

    def found(seconds, off=0.0):
        """Detections whose predicted positions are ``off`` metres too far to the left."""
        classes = {"car": {1: 8 * seconds, 2: 8 * seconds + 10}, "pedestrian": {3: 30 + seconds}}
        return {
            name: {key: Match(np.array([x, off]), np.array([x, 0.0])) for key, x in places.items()}
            for name, places in classes.items()
        }

    # Half a second ago each car was 4 m behind, which is still the nearest detection.
    cars, walkers = errors_between(found(0.0), found(0.5, off=0.3), 0.5).values()
    assert [*cars, *walkers] == 3 * [pytest.approx((0.6, 0.6))]
    # A second ago the other car was 2 m ahead of the first car's position: wrong by 10 m/s.
    second = errors_between(found(0.0), found(1.0, off=0.3), 1.0)
    wrong, right = sorted(second["car"], key=lambda error: -error.by_nearest)
    assert wrong == pytest.approx((0.3, math.hypot(10, 0.3)))
    assert right == pytest.approx((0.3, 0.3)) == second["pedestrian"][0]


def test_an_object_matched_in_one_frame_has_no_pair_but_may_be_the_nearest():
    at = lambda x: Match(np.array([x, 0.0]), np.array([x, 0.0]))  # noqa: E731
    errors = errors_between({"car": {1: at(0.0), 2: at(5.0)}}, {"car": {1: at(6.0), 3: at(1.0)}}, 1)
    assert errors == {"car": [(0.0, 5.0)]}
    assert errors_between({"bus": {1: at(0.0)}}, {"car": {1: at(0.0)}}, 1) == {}
