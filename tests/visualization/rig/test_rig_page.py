"""The page of a rig: fields of view and overlaps of a rig known by hand, and what is drawn."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from bev.data.frame import CameraFrame, Frame
from bev.geometry import KannalaBrandt
from bev.visualization.check import HORIZON
from bev.visualization.rig.fields import ground_owner, runs, seen_by, seen_directions, width
from bev.visualization.rig.ground import RINGS, draw_overlays
from bev.visualization.rig.page import draw_rig

HEIGHT, WIDTH = 90, 160


def camera(name: str, yaw: float, pitch: float = 0.0, field: float = 90.0, **given) -> CameraFrame:
    """A pinhole in the origin, 1 m above the ground; angles in degrees, pitch upwards."""
    focal = WIDTH / 2 / math.tan(math.radians(field) / 2)
    rows = [[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1]]
    a, p = math.radians(yaw), math.radians(pitch)
    ahead = np.array([math.cos(a) * math.cos(p), math.sin(a) * math.cos(p), math.sin(p)])
    right = np.array([math.sin(a), -math.cos(a), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(ahead, right), ahead], axis=1)
    pose[2, 3] = 1.0
    matrix, place = torch.tensor(rows, dtype=torch.float64), torch.from_numpy(pose)
    return CameraFrame(name, Path(f"{name}.png"), (HEIGHT, WIDTH), matrix, place, **given)


def test_fields_of_view_and_overlaps_by_hand():
    """90 degrees around 0 and around 80 to the left: 10 degrees, from 35 to 45, are shared."""
    front, left = (seen_directions(camera("a", yaw)) for yaw in (0.0, 80.0))
    assert width(front) == pytest.approx(90, abs=0.5)
    ((start, end),) = runs(front)
    assert (start, end) == pytest.approx((315, 405), abs=0.5)
    ((start, end),) = runs(front & left)
    assert (start, end) == pytest.approx((35, 45), abs=0.5)
    ((start, end),) = runs(~front & ~left)
    assert end - start == pytest.approx(190, abs=0.5)
    # A fisheye of 190 degrees.
    lens = KannalaBrandt.make((0, 0, 0, 0), math.radians(95))
    wide = camera("a", 0.0, field=60.0)
    narrow = wide.intrinsics.clone()
    narrow[[0, 1], [0, 1]] = 40.0  # 95 degrees are 66 pixels
    found = CameraFrame("a", wide.path, wide.size, narrow, wide.ego_from_camera, lens)
    assert width(seen_directions(found)) == pytest.approx(190, abs=0.6)
    # One that looks down by 60 degrees shows no horizon, and the directions of the ground.
    assert 60 < width(seen_directions(camera("a", 0.0, -60.0))) < 360


def test_the_overlap_in_the_image_is_that_of_the_directions():
    """The left border of the front image, from tan 35 to tan 45 degrees, is seen by both."""
    front, left = camera("a", 0.0), camera("b", 80.0)
    mask = seen_by(front, left, (HEIGHT, WIDTH), 1e4)[HEIGHT // 2]
    expected = WIDTH / 2 * (1 - math.tan(math.radians(35)))
    assert mask.sum() == pytest.approx(expected, abs=1) and mask[0] and not mask[40:].any()


def test_the_ground_is_shown_by_the_camera_that_sees_it_best():
    cameras = [camera("a", 0.0), camera("b", 80.0)]
    points = np.array([[10.0, 0, 0], [0, 10, 0], [10, 8.39, 0], [-10, 0, 0], [0.5, 0, 0]])
    owner, pixels = ground_owner(cameras, points)
    assert owner[[0, 1, 3, 4]].tolist() == [0, 1, -1, -1] and owner[2] in (0, 1)
    assert pixels[0].tolist() == pytest.approx([80, 45 + 80 / 10])


def test_the_horizon_and_the_circles_of_a_level_camera_by_hand():
    """At six times the size the focal length is 480: the horizon is row 270.

    A circle of 10 m crosses the column that is 100 pixels beside the middle at the depth
    10 cos(atan(100 / 480)) = 9.79 m, which is row 270 + 480 / 9.79 = 319.
    """
    image = np.full((6 * HEIGHT, 6 * WIDTH, 3), 90, np.uint8)
    draw_overlays(image, [camera("a", 0.0)], 0, [(0, 0, 255)])
    pink, yellow = (
        np.abs(image.astype(int) - color).sum(axis=-1) < 60 for color in (HORIZON, RINGS)
    )
    rows = np.flatnonzero(pink.mean(axis=1) > 0.8)
    assert len(rows) and abs(rows.mean() + 0.5 - 270) <= 1
    crossed = np.flatnonzero(yellow[:, 380])
    assert np.abs(crossed + 0.5 - 319).min() <= 1 and not (crossed < 270).any()


@pytest.mark.parametrize("count", [1, 4])
def test_a_page_of_any_number_of_cameras(count, tmp_path, monkeypatch):
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    monkeypatch.setattr("bev.visualization.rig.page.load_camera", lambda camera: grey)
    cameras = tuple(camera(f"cam{n}", 360 / count * n) for n in range(count))
    page = draw_rig(Frame("now", cameras))
    assert page.shape[1] == 1736 and page.shape[0] > 900 and page.std() > 10
