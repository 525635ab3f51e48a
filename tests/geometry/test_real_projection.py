"""Projections and boxes agree with the official devkit on real frames."""

import numpy as np
import pytest
import torch
from nuscenes import NuScenes
from nuscenes.eval.common.loaders import load_gt_of_sample_tokens
from nuscenes.eval.detection.data_classes import DetectionBox
from nuscenes.eval.detection.utils import category_to_detection_name
from nuscenes.utils.geometry_utils import BoxVisibility, view_points
from pyquaternion import Quaternion

from bev.data.nuscenes.boxes import to_nuscenes
from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.geometry import Cameras, inverse_rigid
from bev.visualization.camera_view import upright_corners


def devkit_pixels(nusc, frame, camera) -> list[np.ndarray]:
    """Corners (8, 3) as x, y, depth of each annotated box of the ten classes, in frame order."""
    sample = nusc.get("sample", frame.token)
    token = sample["data"][camera.name]
    _, boxes, intrinsics = nusc.get_sample_data(token, box_vis_level=BoxVisibility.NONE)
    by_token = {box.token: box for box in boxes}
    found = []
    for annotation in sample["anns"]:
        row = nusc.get("sample_annotation", annotation)
        if category_to_detection_name(row["category_name"]) is None:
            continue
        corners = by_token[annotation].corners()
        pixels = view_points(corners, intrinsics, normalize=True)[:2]
        found.append(np.vstack([pixels, corners[2:]]).T)
    return found


def test_every_box_projects_where_the_devkit_puts_it(mini, real_frames):
    compared = 0
    for frame in real_frames:
        corners = upright_corners(frame.boxes, frame.global_from_ego)
        for camera in frame.cameras:
            identity = torch.eye(3, dtype=torch.float64)
            entry = Cameras(camera.intrinsics, camera.ego_from_camera, identity)
            theirs = devkit_pixels(mini, frame, camera)
            assert len(theirs) == len(corners)
            for index in torch.nonzero(frame.num_points > 0).flatten().tolist():
                pixels, depth = entry.project(corners[index])
                x = theirs[index][:, 0]
                # A box that is partly beside or behind the camera has corners thousands of pixels
                # away, where rounding of the coordinates exceeds 0.01 pixel.
                if depth.min() < 1.0 or x.min() < -800 or x.max() > 2400:
                    continue
                gap = np.abs(pixels.numpy()[:, None] - theirs[index][None, :, :2]).max(axis=-1)
                assert gap.min(axis=1).max() < 0.01
                assert sorted(gap.argmin(axis=1)) == list(range(8))
                compared += 1
    assert compared > 200


def test_the_cameras_own_ego_pose_matters(mini, real_frames):
    """With one ego pose for all cameras, boxes would be off by pixels."""
    frame = real_frames[2]  # the ego vehicle moves
    worst = 0.0
    for camera in frame.cameras:
        row = mini.get("sample_data", mini.get("sample", frame.token)["data"][camera.name])
        sensor = mini.get("calibrated_sensor", row["calibrated_sensor_token"])
        static = np.eye(4)
        static[:3, :3] = Quaternion(sensor["rotation"]).rotation_matrix
        static[:3, 3] = sensor["translation"]
        moved = inverse_rigid(torch.from_numpy(static)) @ camera.ego_from_camera
        worst = max(worst, moved[:3, 3].norm().item())
    assert worst > 0.1  # metres


def test_upright_corners_correct_the_tilt_of_the_ego_vehicle(real_frames):
    frame = real_frames[0]
    level = frame.boxes.corners().double()
    gap = (upright_corners(frame.boxes, frame.global_from_ego) - level).norm(dim=-1)
    assert 0.005 < gap.max() < 0.5


@pytest.fixture(scope="module")
def whole_split(nuscenes_root):
    version = "v1.0-valgt-mini"
    nusc = NuScenes(version, str(nuscenes_root), verbose=False)
    return nusc, read_frames(open_index(nuscenes_root, version), "mini_val")


def test_round_trip_to_nuscenes_over_every_third_sample(whole_split):
    nusc, frames = whole_split
    frames = frames[::3]
    gt_boxes = load_gt_of_sample_tokens(nusc, [f.token for f in frames], DetectionBox)
    assert sum(len(frame.boxes) for frame in frames) > 1200
    for frame in frames:
        rows = to_nuscenes(frame.boxes, frame.global_from_ego)
        for row, box in zip(rows, gt_boxes[frame.token], strict=True):
            assert row["translation"] == pytest.approx(box.translation, abs=1e-4)
            assert row["size"] == pytest.approx(box.size, abs=1e-5)
            turn = Quaternion(row["rotation"]).inverse * Quaternion(box.rotation)
            assert abs(turn.yaw_pitch_roll[0]) < 1e-5
            known = ~np.isnan(box.velocity)
            assert np.array(row["velocity"])[known] == pytest.approx(
                np.array(box.velocity)[known], abs=1e-4
            )


def test_lidar_points_lie_in_the_boxes_that_count_them(mini, real_frames):
    """Compared with num_lidar_pts of the data set, for boxes of scene-0061."""
    frame = real_frames[0]
    points = frame.load_lidar().double()
    sample = mini.get("sample", frame.token)
    rows = [mini.get("sample_annotation", token) for token in sample["anns"]]
    counts = [
        row["num_lidar_pts"]
        for row in rows
        if category_to_detection_name(row["category_name"]) is not None
    ]
    corners = upright_corners(frame.boxes, frame.global_from_ego)
    exact = 0
    for box, count in zip(corners, counts, strict=True):
        origin = box[6]  # rear right bottom
        axes = box[[2, 7, 5]] - origin  # to the front, to the left, up
        along = (points - origin) @ axes.T / (axes**2).sum(dim=1)
        exact += int(((along >= 0) & (along <= 1)).all(dim=1).sum()) == count
    assert exact >= len(counts) - 2  # points on a face may fall on either side of it
