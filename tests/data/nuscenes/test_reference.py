"""The lidar frame as the reference frame of a sample: the same scene in other coordinates."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from opened import opened

from bev.data.augmentation import BevAugmentation, ImageAugmentation, draw
from bev.data.dataset import KeyFrames
from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.data.settings import DataConfig
from bev.errors import DataError
from bev.evaluation.nuscenes.submission import submission_rows


@pytest.fixture(scope="module")
def frames(synthetic_world):
    """The same key frames in the ego frame and in the lidar frame."""
    data = DataConfig(root=synthetic_world, version="v1.0-synthetic")
    return [opened(replace(data, reference=r)).frames("synthetic_val") for r in ("ego", "lidar")]


def test_the_lidar_reference_is_the_frame_of_the_sensor(frames):
    for ego, lidar in zip(*frames, strict=True):
        expected = ego.global_from_ego @ ego.ego_from_lidar
        torch.testing.assert_close(lidar.global_from_ego, expected)
        torch.testing.assert_close(
            lidar.ego_from_lidar, torch.eye(4, dtype=torch.float64), atol=1e-6, rtol=0
        )
        # As on the nuScenes vehicle: x to the right, y forward.
        turn = ego.ego_from_lidar[:2, :2]
        torch.testing.assert_close(
            turn, torch.tensor([[0.0, 1], [-1, 0]]).double(), atol=0.05, rtol=0
        )


def test_submissions_do_not_depend_on_the_reference_frame(frames):
    for ego, lidar in zip(*frames, strict=True):
        assert len(ego.boxes) == len(lidar.boxes)
        rows = [submission_rows(f.token, f.boxes, f.global_from_ego) for f in (ego, lidar)]
        for mine, theirs in zip(*rows, strict=True):
            assert mine["translation"] == pytest.approx(theirs["translation"], abs=1e-3)
            assert mine["rotation"] == pytest.approx(theirs["rotation"], abs=2e-3)
            assert mine["velocity"] == pytest.approx(theirs["velocity"], abs=2e-2, nan_ok=True)


def test_boxes_project_to_the_same_pixels_in_both_frames(synthetic_world):
    data = DataConfig(root=synthetic_world, version="v1.0-synthetic", image_size=(64, 176))
    pixels = []
    for reference in ("ego", "lidar"):
        config = replace(data, reference=reference)
        batch = KeyFrames(opened(config).frames("synthetic_val"), config, training=False)[0]
        pixel, depth = batch.views.cameras.project(batch.boxes[0].center.expand(1, 6, -1, 3))
        pixels.append(torch.where(depth[..., None] > 1, pixel, 0))
    torch.testing.assert_close(*pixels, atol=0.05, rtol=1e-4)


def test_a_sample_without_lidar_has_no_lidar_reference(synthetic_world, monkeypatch):
    index = open_index(synthetic_world, "v1.0-synthetic")
    frames = read_frames(index, "synthetic_val", reference="lidar")
    assert frames[:1][0].token == frames[0].token
    monkeypatch.delitem(index.channels, "LIDAR_TOP")
    with pytest.raises(DataError, match="has no LIDAR_TOP row; data.reference lidar needs one"):
        frames[0]


def test_test_scale_enlarges_images_outside_training(synthetic_world):
    """BEVDet's first release: scale 0.48 instead of 0.44, 32 columns and 176 rows cropped."""
    rng, none = np.random.default_rng(0), BevAugmentation.off()
    drawn = draw(ImageAugmentation.off(0.04), none, [(900, 1600)], (256, 704), rng)
    expected = torch.tensor([[0.48, 0, -32], [0, 0.48, -176], [0, 0, 1]]).double()
    torch.testing.assert_close(drawn.image_from_original[0], expected)
    data = DataConfig(root=synthetic_world, version="v1.0-synthetic", image_size=(64, 176))
    scales = []
    for test_scale in (0.0, 0.04):
        config = replace(data, test_scale=test_scale)
        batch = KeyFrames(opened(config).frames("synthetic_val"), config, training=False)[0]
        scales.append(batch.views.cameras.image_from_original[0, 0, 0, 0].item())
    assert scales[1] / scales[0] == pytest.approx(0.48 / 0.44)
