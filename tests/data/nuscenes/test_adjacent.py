"""Adjacent frames of a key frame: correct sample_data records and poses, within the scene."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from opened import opened
from torchvision.transforms import v2

from bev.data.adjacent import AdjacentConfig
from bev.data.augmentation import BevAugmentation, ImageAugmentation
from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.data.images.grid_mask import GridMask
from bev.data.nuscenes.adjacent import adjacent_moments
from bev.data.nuscenes.index_cache import open_index
from bev.data.nuscenes.sensor_data import CAMERAS
from bev.data.settings import DataConfig
from bev.errors import ConfigError
from bev.geometry import apply_transform
from bev.lab.benchmark.synthetic_tables import write_tables


@pytest.fixture(scope="module")
def with_sweeps(tmp_path_factory):
    """Two scenes of 4 key frames, 0.5 s apart, with 4 sweeps of each sensor between key frames."""
    root = tmp_path_factory.mktemp("sweeps") / "root"
    return open_index(write_tables(root, scenes=2, frames=4, boxes=3, sweeps=4), "v1.0-trainval")


def channels(index):
    return [index.channels[name] for name in CAMERAS]


def moments(index, sample, **settings):
    return adjacent_moments(index, sample, channels(index), AdjacentConfig(**settings))


def test_offsets_are_nearest_first_and_earlier_before_later():
    assert AdjacentConfig(previous=2, following=1, step=3).offsets() == (-3, -6, 3)
    assert AdjacentConfig().offsets() == ()


def test_key_frames_by_count_stay_within_the_scene(with_sweeps):
    """The third frame of a scene is preceded by the second, the first and the first again."""
    index = with_sweeps
    second, first, again = moments(index, 4 + 2, previous=3)
    assert [m.name for m in (second, first, again)] == [index.token_of(row) for row in (5, 4, 4)]
    assert [m.seconds for m in (second, first, again)] == pytest.approx([-0.5, -1.0, -1.0])
    (own,) = moments(index, 4, previous=1)
    assert own.name == index.token_of(4) and own.seconds == 0
    (last,) = moments(index, 7, following=1)
    assert last.name == index.token_of(7) and last.seconds == 0


def test_sweeps_and_seconds_agree_at_regular_intervals(with_sweeps):
    """Sweeps are 0.1 s apart: 3 sweeps earlier is 0.3 s earlier, by each camera's timestamps."""
    index = with_sweeps
    (by_count,) = moments(index, 2, previous=1, step=3, unit="sweeps")
    (by_time,) = moments(index, 2, previous=1, step=0.3, unit="seconds")
    assert by_count == by_time
    own = index.sample.data[2, channels(index)]
    times = index.sample_data.timestamp
    assert (times[own] - times[list(by_count.rows)] == 300_000).all()
    assert by_count.seconds == pytest.approx(-0.3)
    assert not index.sample_data.is_key_frame[list(by_count.rows)].any()
    (key_frame,) = moments(index, 2, previous=1, step=5, unit="sweeps")
    assert index.sample_data.is_key_frame[list(key_frame.rows)].all()


@given(
    sample=st.integers(0, 7),
    step=st.floats(0.05, 3.0),
    counts=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_seconds_select_the_nearest_record_in_time(with_sweeps, sample, step, counts):
    """Compared with a search over all sample_data records of the sensor in the scene."""
    index, data = with_sweeps, with_sweeps.sample_data
    config = AdjacentConfig(previous=counts[0], following=counts[1], step=step, unit="seconds")
    found = adjacent_moments(index, sample, channels(index), config)
    assert len(found) == sum(counts)
    scene = index.sample.scene[data.sample]
    for offset, moment in zip(config.offsets(), found, strict=True):
        for row, channel in zip(moment.rows, channels(index), strict=True):
            own = index.sample.data[sample, channel]
            rows = np.flatnonzero((data.channel == channel) & (scene == scene[own]))
            wanted = data.timestamp[own] + round(offset * 1e6)
            assert abs(data.timestamp[row] - wanted) == abs(data.timestamp[rows] - wanted).min()


@pytest.mark.parametrize(
    "settings",
    [
        {"previous": -1},
        {"step": 0.0},
        {"step": 1.5},
        {"step": 0.5, "unit": "sweeps"},
        {"previous": 1, "playback": ()},
        {"previous": 1, "playback": (1.0, 0.0)},
        {"previous": 1, "playback": (0.5,)},  # half a key frame earlier
        {"playback": (1.0, -1.0)},  # only the key frame itself
    ],
)
def test_invalid_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=r"data\.adjacent"):
        AdjacentConfig(**settings)


@pytest.fixture(scope="module")
def config(synthetic_world):
    return DataConfig(
        root=synthetic_world,
        version="v1.0-synthetic",
        image_size=(64, 176),
        adjacent=AdjacentConfig(previous=1, following=1),
        workers=0,
    )


def stationary_boxes(one, other):
    """Centres of stationary objects in two frames' ego coordinates, matched globally."""

    def centres(frame):
        still = frame.boxes.velocity.norm(dim=1) < 0.01
        return apply_transform(frame.global_from_ego, frame.boxes.center[still].double())

    first, second = centres(one), centres(other)
    distance, match = torch.cdist(first, second).min(dim=1)
    same = distance < 0.01
    assert same.sum() > 3
    to_ego = (torch.linalg.inv(f.global_from_ego) for f in (one, other))
    pairs = zip(to_ego, (first[same], second[match[same]]), strict=True)
    return [apply_transform(matrix, points) for matrix, points in pairs]


def test_stationary_boxes_coincide_across_adjacent_frames(config):
    """``ego_from_adjacent`` moves stationary boxes onto the same boxes of the key frame."""
    frames = opened(config).frames("synthetic_train")
    before, frame, after = frames[0], frames[1], frames[2]
    assert before.scene == frame.scene == after.scene
    for adjacent, own in zip(frame.adjacent, (before, after), strict=True):
        assert adjacent.name == own.token
        here, there = stationary_boxes(frame, own)
        moved = apply_transform(adjacent.ego_from_adjacent, there)
        torch.testing.assert_close(moved, here, atol=1e-2, rtol=0)
        assert [c.path for c in adjacent.cameras] == [c.path for c in own.cameras]
        for mine, its in zip(adjacent.cameras, own.cameras, strict=True):
            torch.testing.assert_close(mine.ego_from_camera, its.ego_from_camera)


def test_real_frames_half_a_second_apart(nuscenes_root):
    config = DataConfig(root=nuscenes_root, version="v1.0-mini", adjacent=AdjacentConfig(1))
    first, second = opened(config).frames("mini_val")
    assert second.adjacent[0].name == first.token
    assert second.adjacent[0].seconds == pytest.approx(-0.5, abs=0.06)
    expected = torch.linalg.inv(second.global_from_ego) @ first.global_from_ego
    torch.testing.assert_close(second.adjacent[0].ego_from_adjacent, expected)
    assert first.adjacent[0].seconds == 0  # the data have no earlier frame
    torch.testing.assert_close(
        first.adjacent[0].ego_from_adjacent, torch.eye(4, dtype=torch.float64)
    )


def test_adjacent_images_share_the_augmentation_and_reach_the_batch(config):
    frames = opened(config).frames("synthetic_train")
    data = KeyFrames(frames, config, training=True, seed=3)
    batch = collate([data[(1, 1)], data[(1, 0)]])
    views, later = batch.adjacent
    assert views.images.shape == batch.views.images.shape
    assert views.names == [frames[0].token, frames[0].token]
    torch.testing.assert_close(views.seconds, torch.tensor([-0.5, 0.0]), atol=0.06, rtol=0)
    torch.testing.assert_close(
        views.cameras.image_from_original, batch.views.cameras.image_from_original
    )
    # The first frame of a scene has no earlier one: it is its own adjacent frame.
    assert torch.equal(views.images[1], batch.views.images[1])
    assert not torch.equal(views.images[0], batch.views.images[0])
    assert torch.equal(later.ego_from_adjacent[1].isfinite().all(), torch.tensor(True))


def test_requesting_adjacent_frames_changes_nothing_else(config):
    frames, alone = (
        opened(config).frames("synthetic_train"),
        replace(config, adjacent=AdjacentConfig()),
    )
    with_others = KeyFrames(frames, config, training=True)[(2, 1)]
    without = KeyFrames(opened(alone).frames("synthetic_train"), alone, training=True)[(2, 1)]
    assert torch.equal(with_others.views.images, without.views.images)
    assert torch.equal(with_others.bev_from_ego, without.bev_from_ego)
    assert without.adjacent == []


def test_adjacent_images_share_colour_jitter_and_grid_mask(config):
    """Both images of a camera get the same random draw: identical images stay identical."""
    jitter = ImageAugmentation(
        photometric=partial(v2.ColorJitter, 0.4, hue=0.1), grid_mask=GridMask(1.0, period=(8, 20))
    )
    config = replace(config, image_augmentation=jitter, bev_augmentation=BevAugmentation.off())
    sample = KeyFrames(opened(config).frames("synthetic_train"), config, training=True)[(4, 0)]
    assert torch.equal(sample.adjacent[0].images, sample.views.images)


def test_moments_of_different_records_have_different_names(with_sweeps):
    """Also where the first camera's record is the same: names are the keys of stored features."""
    index = with_sweeps
    names = {}
    for sample in range(8):
        for moment in moments(index, sample, previous=3, following=2, step=2, unit="sweeps"):
            assert names.setdefault(moment.name, moment.rows) == moment.rows
    assert len(names) > 20


def test_an_adjacent_frame_without_the_cameras_is_replaced_by_the_sample(config):
    frame = opened(config).frames("synthetic_train")[1]
    other = frame.adjacent[0]
    apart = replace(
        frame,
        cameras=frame.cameras[:2],
        adjacent=(replace(other, cameras=other.cameras[2:]), *frame.adjacent[1:]),
    )
    batch = KeyFrames([apart], config, training=False)[0]
    views, later = batch.adjacent
    assert views.names == [frame.token] and views.seconds == 0
    assert torch.equal(views.images, batch.views.images)
    assert torch.equal(views.ego_from_adjacent[0], torch.eye(4))
    assert later.names == [frame.adjacent[1].name] and later.images.shape[1] == 2
