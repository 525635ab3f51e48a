"""Number of visits of each frame in an epoch: worked cases, and the order of the frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opened import opened

from bev.data.epoch import EpochPlan
from bev.data.nuscenes.classes import CLASSES
from bev.data.sampling import SamplingConfig, class_balanced
from bev.data.settings import DataConfig
from bev.errors import ConfigError, DataError


@pytest.fixture()
def frames(synthetic_world):
    return opened(DataConfig(root=synthetic_world, version="v1.0-synthetic")).frames(
        "synthetic_train"
    )


def test_class_balancing_of_two_classes():
    """Cars in four frames, a bus in one of them, and a fifth frame without boxes: D = 5 for two
    classes, so each class gets 2 draws. The frame with the bus gets 2/1 + 2/4, the other frames
    with cars 2/4."""
    held = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]], bool)
    expected = class_balanced(held)
    np.testing.assert_allclose(expected, [2.5, 0.5, 0.5, 0.5, 0.0])
    plan = EpochPlan.of(expected)
    assert len(plan) == 4
    for epoch in range(20):
        counts = np.bincount(plan.order(0, epoch), minlength=5)
        assert counts[0] in (2, 3) and counts[1:4].max() <= 1 and counts[4] == 0


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 99))
def test_every_class_is_drawn_equally_often(frames, classes, seed):
    """The published method: floor(D / C) draws for each class, from the frames that contain it."""
    held = np.random.default_rng(seed).random((frames, classes)) < 0.4
    held[0, 0] = True
    expected = np.zeros(frames)
    present = [c for c in range(classes) if held[:, c].any()]
    draws = sum(int(held[:, c].sum()) for c in present) // len(present)
    for c in present:
        for frame in np.flatnonzero(held[:, c]):
            expected[frame] += draws / held[:, c].sum()
    np.testing.assert_allclose(class_balanced(held), expected)
    plan = EpochPlan.of(class_balanced(held))
    assert len(plan) == draws * len(present)


@pytest.mark.parametrize("min_points", [0, 1, 20])
def test_classes_held_are_those_of_the_training_boxes(frames, min_points):
    frames = frames[::-1]
    held = frames.classes_held(min_points)
    assert held.shape == (8, 10) and held.any()
    for frame, found in zip(frames, held, strict=True):
        kept = frame.boxes.label[frame.num_points >= min_points]
        assert set(np.flatnonzero(found)) == set(kept.tolist())


def test_weights_follow_the_classes_held(frames):
    config = SamplingConfig("weight", (("bus", 3.0), ("bicycle", 2.5)))
    held = frames.classes_held(1)
    weight = 1 + 3.0 * held[:, CLASSES.index("bus")] + 2.5 * held[:, CLASSES.index("bicycle")]
    plan = config.build(frames, 1)
    assert len(plan) == len(frames)
    np.testing.assert_allclose(plan.units / 2**20, 8 * weight / weight.sum(), atol=2e-6)


def test_sampling_by_frame_and_by_scene_visits_every_frame_once(frames):
    for by in ("frame", "scene"):
        plan = SamplingConfig(by).build(frames, 1)
        assert sorted(plan.order(0, 0)) == list(range(8))
    times = np.array([frames[place].timestamp for place in plan.order(0, 0).tolist()])
    assert (np.diff(times[:4]) > 0).all() and (np.diff(times[4:]) > 0).all()


def test_invalid_settings_are_named(frames):
    with pytest.raises(ConfigError, match="go with 'weight'"):
        SamplingConfig("weight")
    with pytest.raises(ConfigError, match="go with 'weight'"):
        SamplingConfig("class", (("bus", 1.0),))
    with pytest.raises(ConfigError, match="'bike' is unknown; known: car, truck"):
        DataConfig(sampling=SamplingConfig("weight", (("bike", 1.0),)))
    with pytest.raises(ConfigError, match=r"class_weights is \('bus', -1.0\); set it to"):
        DataConfig(sampling=SamplingConfig("weight", (("bus", -1.0),)))
    with pytest.raises(DataError, match="data.sampling.by to 'frame'"):
        SamplingConfig("class").build(frames, min_points=10**6)
