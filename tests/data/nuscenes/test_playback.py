"""Scenes played back at other rates: the adjacent frames chosen, and the velocities."""

from dataclasses import replace

import pytest
import torch
from opened import opened

from bev.data.adjacent import AdjacentConfig
from bev.data.augmentation import BevAugmentation
from bev.data.dataset import KeyFrames
from bev.data.nuscenes.frames import IndexFrames
from bev.data.settings import DataConfig
from bev.errors import ConfigError
from bev.geometry import apply_transform

RATES = (1.0, 2.0, -1.0, -2.0)
# In a scene of three key frames: the key frame, the playback rate, its adjacent frame.
SHOWN = [(1, 1.0, 0), (1, -1.0, 2), (2, 2.0, 0), (0, -2.0, 2)]


@pytest.fixture(scope="module")
def config(synthetic_world):
    """A config with playback rates and one adjacent key frame, half a second earlier."""
    return DataConfig(
        root=synthetic_world,
        version="v1.0-synthetic",
        image_size=(64, 176),
        adjacent=AdjacentConfig(previous=1, playback=RATES),
        workers=0,
    )


@pytest.mark.parametrize(("at", "rate", "other"), SHOWN)
def test_the_adjacent_frame_is_half_a_second_earlier_at_any_rate(config, at, rate, other):
    frames = opened(config).frames("synthetic_train")
    own, played = frames[at], frames.played(at, rate)
    (adjacent,) = played.adjacent
    assert adjacent.name == frames[other].token
    assert adjacent.seconds == pytest.approx(-0.5, abs=0.06)
    torch.testing.assert_close(played.boxes.velocity, own.boxes.velocity * rate, equal_nan=True)
    expected = torch.linalg.inv(own.global_from_ego) @ frames[other].global_from_ego
    torch.testing.assert_close(adjacent.ego_from_adjacent, expected)
    assert played.token == own.token and torch.equal(played.boxes.center, own.boxes.center)


@pytest.mark.parametrize(("at", "rate", "other"), SHOWN)
def test_moving_boxes_were_where_their_velocity_at_the_rate_puts_them(config, at, rate, other):
    """Velocity times time difference leads to a box of the same label in the adjacent frame."""
    frames = opened(config).frames("synthetic_train")
    played, there = frames.played(at, rate), frames[other].boxes
    (adjacent,) = played.adjacent
    boxes = played.boxes[played.boxes.velocity.norm(dim=1) > 1.0]
    assert len(boxes) > 2
    centres = apply_transform(adjacent.ego_from_adjacent.float(), there.center)[:, :2]
    same = boxes.label[:, None] == there.label
    step = boxes.velocity * adjacent.seconds

    def missed(places):
        """Median distance to the nearest box of the label, relative to the distance moved."""
        distance = torch.cdist(places, centres).masked_fill(~same, torch.inf).min(dim=1).values
        return (distance / step.norm(dim=1)).median()

    # Objects turn and slow down a little, and some are hidden in the adjacent frame.
    assert missed(boxes.center[:, :2] + step) < 0.3 < missed(boxes.center[:, :2] - step)


def still(config, **settings):
    """The config without randomness except for playback rates and dropped cameras."""
    return replace(config, min_points=0, bev_augmentation=BevAugmentation.off(), **settings)


def test_the_last_frame_of_a_scene_is_played_at_normal_speed(config):
    """No frame follows the last one, so nothing could show that it is played backwards."""
    backwards = still(config, adjacent=AdjacentConfig(previous=1, playback=(-2.0,)))
    frames = opened(backwards).frames("synthetic_train")
    scenes = [frame.scene for frame in frames]
    last = max(i for i in range(len(scenes)) if scenes[i] == scenes[0])
    data = KeyFrames(frames, backwards, training=True)
    own, ended = frames[last], data[last]
    assert ended.adjacent[0].names == [own.adjacent[0].name]
    assert float(ended.adjacent[0].seconds) == pytest.approx(own.adjacent[0].seconds, abs=1e-4)
    torch.testing.assert_close(ended.boxes[0].velocity, own.boxes.velocity, equal_nan=True)
    nearly, early = frames[last - 1], data[last - 1]
    assert early.adjacent[0].names == [own.token]  # half a second away instead of one
    assert float(early.adjacent[0].seconds) == pytest.approx(-0.25, abs=0.03)
    torch.testing.assert_close(early.boxes[0].velocity, -2 * nearly.boxes.velocity, equal_nan=True)


def test_without_cameras_in_the_adjacent_frame_speed_is_normal(config, monkeypatch):
    """The sample itself replaces the adjacent frame, which then shows no playback rate."""
    backwards = still(config, adjacent=AdjacentConfig(previous=1, playback=(-1.0,)))
    frames = opened(backwards).frames("synthetic_train")
    data = KeyFrames(frames, replace(backwards, drop_cameras=5), training=True, seed=2)
    seen = data[1]
    torch.testing.assert_close(seen.boxes[0].velocity, -frames[1].boxes.velocity, equal_nan=True)
    read = IndexFrames.played

    def blind(self, item, rate):
        frame = read(self, item, rate)
        others = [replace(other, cameras=()) for other in frame.adjacent]
        return replace(frame, adjacent=tuple(others))

    monkeypatch.setattr(IndexFrames, "played", blind)
    unseen = data[1]
    torch.testing.assert_close(unseen.boxes[0].velocity, frames[1].boxes.velocity, equal_nan=True)
    assert torch.equal(unseen.views.images, seen.views.images)  # the camera that was kept


def test_frames_that_cannot_be_played_are_refused(config):
    frames = list(opened(config).frames("synthetic_train"))
    with pytest.raises(ConfigError, match="playback.*list"):
        KeyFrames(frames, config, training=True)
    assert len(KeyFrames(frames, config, training=False)) == len(frames)


@pytest.mark.slow
def test_training_draws_every_rate_and_evaluation_none(config):
    frames = opened(config).frames("synthetic_train")
    own = frames[1].boxes.velocity
    fastest = int(own.norm(dim=1).nan_to_num().argmax())
    data = KeyFrames(frames, still(config), training=True, seed=1)
    drawn = set()
    for epoch in range(40):
        batch, again = data[(epoch, 1)], data[(epoch, 1)]
        velocity = batch.boxes[0].velocity
        drawn.add(round(float(velocity[fastest] @ own[fastest] / own[fastest].square().sum()), 3))
        assert torch.equal(velocity[fastest], again.boxes[0].velocity[fastest])
        assert torch.equal(batch.adjacent[0].seconds, again.adjacent[0].seconds)
        assert -0.6 < float(batch.adjacent[0].seconds) < -0.2
    assert drawn == set(RATES)
    held = KeyFrames(frames, config, training=False)[1]
    torch.testing.assert_close(held.boxes[0].velocity, own, equal_nan=True)


def test_normal_speed_draws_no_random_number(config):
    """A rate of 1 named once or twice gives bit-identical samples."""
    plain, named = (
        replace(config, adjacent=replace(config.adjacent, playback=rates))
        for rates in ((1.0,), (1.0, 1.0))
    )
    frames = opened(plain).frames("synthetic_train")
    first, second = (KeyFrames(frames, config, training=True)[(2, 1)] for config in (plain, named))
    assert torch.equal(first.views.images, second.views.images)
    assert torch.equal(first.bev_from_ego, second.bev_from_ego)
