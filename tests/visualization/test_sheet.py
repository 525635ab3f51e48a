"""Sheets and checks of real frames, and of a synthetic frame with given images."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from bev.data.batch import Views
from bev.data.frame import CameraFrame, Frame
from bev.data.nuscenes.sensor_data import CAMERAS
from bev.errors import DataError
from bev.geometry import Boxes3D, Cameras, image_affine, rigid_transform
from bev.visualization.canvas import load_image, save_png
from bev.visualization.check import draw_check
from bev.visualization.layout import GAP, camera_places, sheet_layout
from bev.visualization.sheet import draw_sheet

FORWARD = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]], dtype=torch.float64)


def frame(names=CAMERAS) -> Frame:
    intrinsics = torch.tensor([[300.0, 0, 400], [0, 300, 225], [0, 0, 1]], dtype=torch.float64)
    pose = rigid_transform(FORWARD, torch.tensor([1.5, 0.0, 1.5], dtype=torch.float64))
    cameras = tuple(
        CameraFrame(name, Path(f"missing/{name}.jpg"), (450, 800), intrinsics, pose)
        for name in names
    )
    boxes = Boxes3D.make(
        torch.tensor([[15.0, 2.0, 1.0], [30.0, -4.0, 1.0]]),
        torch.tensor([[4.0, 2.0, 1.5]] * 2),
        torch.zeros(2),
    )
    points = torch.tensor([12, 0])
    return Frame("abc", cameras, boxes, "scene-1", num_points=points)


def grey(count: int) -> list[np.ndarray]:
    return [np.full((450, 800, 3), 90, np.uint8) for _ in range(count)]


def predictions(*scores: float) -> Boxes3D:
    boxes = frame().boxes
    return replace(boxes[torch.zeros(len(scores), dtype=torch.long)], score=torch.tensor(scores))


@pytest.mark.parametrize(
    "names",
    [
        CAMERAS,
        CAMERAS[::-1],
        ("CAM_FRONT",),
        ("CAM_BACK", "CAM_FRONT_LEFT"),
        ("a", "b", "c", "d"),
        (),
    ],
)
def test_any_cameras_in_any_order(names):
    sheet = draw_sheet(frame(names), predictions(0.9), grey(len(names)))
    assert sheet.dtype == np.uint8
    assert sheet.ndim == 3
    layout = sheet_layout(names, 450 / 800)
    for left, top in layout.tiles:
        assert top + layout.tile[0] <= sheet.shape[0]
        assert left + layout.tile[1] <= layout.bev[0]
        # The camera's image is in its place.
        assert (sheet[top + layout.tile[0] - 2, left + 2] == 90).all()


def test_cameras_have_fixed_places_whatever_their_order():
    places = dict(zip(CAMERAS[::-1], camera_places(CAMERAS[::-1]), strict=True))
    assert places["CAM_FRONT_LEFT"] == (0, 0)
    assert places["CAM_FRONT"] == (0, 1)
    assert places["CAM_BACK_RIGHT"] == (1, 2)
    assert camera_places(["CAM_BACK", "CAM_BACK_LEFT"]) == [(0, 1), (0, 0)]
    assert camera_places(["left", "right", "up", "down"])[3] == (1, 0)


def test_the_score_threshold_decides_what_is_drawn():
    images = grey(6)
    none = draw_sheet(frame(), predictions(0.2), images)
    low = draw_sheet(frame(), predictions(0.2), images, score_threshold=0.1)
    empty = draw_sheet(frame(), Boxes3D.empty(), images)
    assert (none == empty).all()
    assert (none != low).any()


def test_ground_truth_without_points_is_left_out_by_default():
    images = grey(6)
    usual = draw_sheet(frame(), images=images)
    every = draw_sheet(frame(), images=images, min_points=0)
    assert (usual != every).any()
    alone = replace(frame(), boxes=frame().boxes[:1], num_points=torch.tensor([12]))
    assert (usual == draw_sheet(alone, images=images)).all()


def test_given_images_are_not_modified():
    images = [np.full((270, 480, 3), 90, np.uint8) for _ in CAMERAS]  # exactly the size of a tile
    draw_sheet(frame(), predictions(0.9), images)
    assert all((image == 90).all() for image in images)


def test_a_missing_or_broken_image_is_named(tmp_path):
    with pytest.raises(DataError, match=r"missing/CAM_FRONT_LEFT\.jpg cannot be read"):
        draw_sheet(frame())
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.jpg is not an image"):
        load_image(broken)


def test_colours_survive_the_file(tmp_path):
    image = np.zeros((4, 6, 3), np.uint8)
    image[:, :3] = (255, 40, 10)
    path = save_png(image, tmp_path / "new" / "a.png")
    assert (load_image(path) == image).all()
    assert cv2.imread(str(path))[0, 0].tolist() == [10, 40, 255]


def test_real_sheets_with_and_without_lidar(real_frames):
    for real in real_frames:
        sheet = draw_sheet(real, real.boxes)
        assert sheet.shape[1] > 1800
        assert sheet.std() > 20


def test_the_check_reads_lidar_and_draws_boxes_where_the_file_is_missing(real_frames):
    check = draw_check(real_frames[0])
    assert check.shape == draw_sheet(real_frames[0]).shape
    first = real_frames[1]
    assert not first.has_lidar and first.lidar_path is not None
    shown = draw_check(first)
    none = {name: getattr(first, name)[:0] for name in ("boxes", "num_points", "instances")}
    bare = draw_check(replace(first, **none))
    assert shown.shape == check.shape and (shown != bare).any()


def test_the_check_of_a_rig_without_lidar_shows_its_boxes():
    alone = frame()
    bare = replace(alone, boxes=alone.boxes[:0], num_points=alone.num_points[:0])
    shown, empty = draw_check(alone, grey(6)), draw_check(bare, grey(6))
    left, top = sheet_layout(CAMERAS, 450 / 800).tiles[1]
    assert (shown[top : top + 270, left : left + 480] != 90).any(axis=2).sum() > 500
    assert (shown != empty).any(axis=2).sum() > 500


def test_images_of_other_proportions_are_not_stretched():
    """A square drawn on a 4:3 camera beside 16:9 ones is a square on the sheet."""
    cameras = frame(("a", "b")).cameras
    other = replace(cameras[1], size=(600, 800))
    mixed = replace(frame(("a", "b")), cameras=(cameras[0], other))
    tall = np.full((600, 800, 3), 90, np.uint8)
    tall[200:400, 300:500] = 250
    sheet = draw_sheet(mixed, Boxes3D.empty(), [grey(1)[0], tall], show_ground_truth=False)
    rows, columns = ((sheet == 250).all(axis=2)).nonzero()
    side = 200 * 270 / 600
    assert np.ptp(rows) + 1 == pytest.approx(side, abs=2)
    assert np.ptp(columns) + 1 == pytest.approx(side, abs=2)
    left, top = sheet_layout(("a", "b"), 450 / 800).tiles[1]
    assert rows.mean() - top == pytest.approx(135, abs=1)
    assert columns.mean() - left == pytest.approx(240, abs=1)


def test_the_check_draws_the_networks_view_below_each_image():
    """The view's pixels, the horizon in both pictures, and the view's border in the image."""
    alone = replace(frame(("a", "b")), boxes=Boxes3D.empty(), num_points=torch.zeros(0).long())
    matrix = image_affine((128, 352), 0.44, (50.0, 0.0))  # rows 113.6 to 404.5 of 450
    cameras = Cameras(
        intrinsics=torch.stack([camera.intrinsics for camera in alone.cameras]).float()[None],
        ego_from_camera=torch.stack([camera.ego_from_camera for camera in alone.cameras])
        .float()[None],
        image_from_original=matrix.float().expand(1, 2, 3, 3),
    )  # fmt: skip
    images = torch.zeros(1, 2, 3, 128, 352, dtype=torch.uint8)
    images[0, 0], images[0, 1, 1] = 200, 60
    sheet = draw_check(alone, grey(2), Views(images, cameras, ["abc"]))
    view_rows = round(480 * 128 / 352)
    layout = sheet_layout(("a", "b"), (270 + GAP + view_rows) / 480)
    for index, color in enumerate([(200, 200, 200), (0, 60, 0)]):
        left, top = layout.tiles[index]
        image = sheet[top : top + 270, left : left + 480]
        view = sheet[top + 270 + GAP : top + layout.tile[0], left : left + 480]
        assert len(view) == view_rows and ((view == color).all(axis=2)).mean() > 0.95
        # 0.6 and 480/352 sheet pixels per pixel; the horizon is in row 225, and 225 * 0.44 - 50.
        for picture, row in ((image, 225 * 0.6), (view, 49 * 480 / 352)):
            horizon = np.abs(picture[:, 240].astype(int) - (255, 111, 186)).sum(axis=1).argmin()
            assert horizon + 0.5 == pytest.approx(row, abs=1)
        bright = (image[:, 100].astype(int) > 150).all(axis=1).nonzero()[0]
        assert {round(row / 0.6, -1) for row in bright.tolist()} == {110, 400}


@pytest.mark.parametrize("names", [CAMERAS, ("CAM_FRONT",), ()])
def test_a_narrow_sheet_is_the_wide_one_made_small(names):
    """Tiles and BEV shrink alike, down to the margins; the BEV reaches below the cameras."""
    wide, narrow = (sheet_layout(names, 9 / 16, width) for width in (480, 240))
    assert narrow.bev_pixels == pytest.approx(wide.bev_pixels / 2, abs=25)
    assert narrow.size[1] == pytest.approx(wide.size[1] / 2, abs=60)
    for left, top in narrow.tiles:
        assert left + narrow.tile[1] < narrow.bev[0] or not narrow.tiles
        assert top + narrow.tile[0] <= narrow.bev[1] + narrow.bev_pixels - 24  # the legend
