"""Contents from data: images, boxes, points and maps at their places."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from ground_truth import gt_submission
from shrunken import shrunken

from bev.config import load_config
from bev.data.frame import CameraFrame, Frame
from bev.geometry import BevGrid, Cameras, KannalaBrandt
from bev.visualization.camera_view import scaled_camera
from bev.visualization.results.sources import ResultsFile
from bev.visualization.video.scene import scene_of
from bev.visualization.viewer.cameras import camera_picture, straightened
from bev.visualization.viewer.collecting import collect
from bev.visualization.viewer.contents import LIDAR_STEP
from bev.visualization.viewer.maps import ground_map
from bev.visualization.viewer.runs import BoxRun, CheckpointRun
from bev.visualization.viewer.shapes import moved


@pytest.fixture(scope="module")
def opened(synthetic_world):
    config = shrunken(load_config("configs/lss_synthetic.py"))
    data = replace(config.data, root=synthetic_world, version="v1.0-synthetic", workers=0)
    scene = scene_of(data.source.open(data).frames("synthetic_val"))
    return replace(config, data=data), scene


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def test_ground_truth_lies_where_it_lies_in_the_world(opened):
    _, scene = opened
    recording = collect(scene, camera_width=96)
    start = scene[0].global_from_ego
    for place, moment in enumerate(recording.moments):
        frame = scene[place]
        kept, table = frame.boxes[frame.counted(1)], moment.boxes[0]
        assert moment.token == frame.token and len(table) == len(kept) > 0
        assert moment.seconds == pytest.approx(0.5 * place, abs=1e-3)
        names = [recording.classes[label].name for label in table.label]
        assert names == [scene.labels.names[label] for label in kept.label.tolist()]
        assert (table.center == kept.center.double().numpy()).all()
        # The scene frame is level, and begins where the vehicle does.
        in_global = moved(frame.global_from_ego.numpy(), table.center)
        in_scene = moved(moment.scene_from_ego, table.center)
        assert in_scene[:, 2] == pytest.approx(in_global[:, 2] - float(start[2, 3]), abs=1e-6)
        origin = in_global - start[:3, 3].numpy()
        assert np.hypot(*in_scene.T[:2]) == pytest.approx(np.hypot(*origin.T[:2]), abs=1e-6)
        points = frame.load_lidar().numpy()
        assert np.abs(moment.lidar * LIDAR_STEP - points).max() < 0.6 * LIDAR_STEP
    assert recording.moments[0].scene_from_ego[:2, 3] == pytest.approx((0, 0), abs=1e-9)
    assert recording.moments[-1].scene_from_ego[0, 3] > 1  # it drives ahead


def test_images_span_the_rays_of_their_corners(opened):
    _, scene = opened
    frame = scene[0]
    for index, camera in enumerate(frame.cameras):
        picture = camera_picture(frame, index, 96)
        assert decoded(picture.jpeg).shape == (round(96 * camera.size[0] / camera.size[1]), 96, 3)
        height, width = camera.size
        pixels = torch.tensor([[0.0, 0.0], [width, height]], dtype=torch.float64)
        rays = scaled_camera(camera, camera.size).rays(pixels)
        assert picture.border == pytest.approx(rays[:, :2].flatten().tolist())


def test_a_straightened_fisheye_shows_points_where_a_pinhole_does():
    lens = KannalaBrandt.make((-0.02, 0.003, 0.0, 0.0), max_angle=1.4)
    intrinsics = torch.tensor([[110.0, 0, 160], [0, 110, 120], [0, 0, 1]], dtype=torch.float64)
    eye = torch.eye(4, dtype=torch.float64)
    camera = Cameras(intrinsics, eye, torch.eye(3, dtype=torch.float64), lens)
    for point in ([0.0, 0.0, 4.0], [3.0, 1.0, 4.0], [-4.0, 1.5, 4.0]):
        image = np.zeros((240, 320, 3), np.uint8)
        (pixel,), _ = camera.project(torch.tensor([point], dtype=torch.float64))
        cv2.circle(image, tuple(np.round(pixel.numpy() - 0.5).astype(int)), 3, (255,) * 3, -1)
        straight, (left, top, right, bottom) = straightened(image, camera)
        assert straight.shape[1] == 320 and right <= np.tan(np.radians(60)) + 1e-9
        rows, columns = np.nonzero(straight[..., 0] > 127)
        x = left + (columns.mean() + 0.5) * (right - left) / straight.shape[1]
        y = top + (rows.mean() + 0.5) * (bottom - top) / straight.shape[0]
        assert (x, y) == pytest.approx((point[0] / 4, point[1] / 4), abs=0.02)


def test_a_fisheye_of_a_frame_is_straightened(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((60, 80, 3), 99, np.uint8))
    intrinsics = torch.tensor([[30.0, 0, 40], [0, 30, 30], [0, 0, 1]], dtype=torch.float64)
    camera = CameraFrame(
        "a", tmp_path / "a.png", (60, 80), intrinsics, torch.eye(4, dtype=torch.float64),
        KannalaBrandt.make((0.0, 0.0, 0.0, 0.0), max_angle=1.2),
    )  # fmt: skip
    picture = camera_picture(Frame("t", (camera,)), 0, 80)
    left, top, right, bottom = picture.border
    assert right == pytest.approx(np.tan(np.radians(60))) and left == pytest.approx(-right)
    assert decoded(picture.jpeg).shape[1] == 80


def test_rows_of_a_map_run_along_y_and_columns_along_x():
    colors = np.zeros((2, 4, 4), np.uint8)
    colors[1, 3] = (250, 100, 50, 255)  # highest y, highest x
    one = ground_map("cells", colors, BevGrid(x=(0.0, 8.0, 2.0), y=(-2.0, 2.0, 2.0)))
    pixels = decoded(one.png)
    assert one.extent == (0.0, -2.0, 8.0, 2.0) and pixels.shape == (256, 512, 4)
    assert pixels[-1, -1].tolist() == [50, 100, 250, 255]  # OpenCV has blue first
    assert (pixels[..., 3] > 0).sum() == 128 * 128


def test_a_map_of_another_frame_is_turned_into_the_vehicles():
    """By a quarter turn: x of the grid is y of the vehicle, and its y points backwards from 1 m."""
    colors = np.zeros((2, 4, 4), np.uint8)
    colors[1, 3] = (250, 100, 50, 255)  # x from 6 to 8 m, y from 0 to 2 m
    pose = torch.tensor([[0.0, -1, 0, 1], [1, 0, 0, 0], [0, 0, 1, 1.8], [0, 0, 0, 1]])
    one = ground_map("cells", colors, BevGrid(x=(0.0, 8.0, 2.0), y=(-2.0, 2.0, 2.0)), pose)
    pixels = decoded(one.png)
    assert one.extent == pytest.approx((-1, 0, 3, 8)) and pixels.shape == (512, 256, 4)
    rows, columns = pixels[..., 3].nonzero()
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (384, 511, 0, 127)
    assert len(rows) == 128 * 128 and pixels[-1, 0].tolist() == [50, 100, 250, 255]


def test_a_detector_in_the_lidars_frame_is_shown_in_the_vehicles(opened):
    config, scene = opened
    data = replace(config.data, reference="lidar")
    own = scene_of(data.source.open(data).frames("synthetic_val"))
    torch.manual_seed(0)
    run = CheckpointRun("mine", config, config.model.build().eval(), data, own)
    moment = collect(scene, [run], camera_width=32, least_score=0.0, places=[2]).moments[0]
    expected = run.model.detect(run.batches[2])[0]
    poses = (frame.global_from_ego.numpy() for frame in (own[2], scene[2]))
    one, other = map(moved, poses, (expected.center.double().numpy(), moment.boxes[1].center))
    assert len(one) > 5 and one == pytest.approx(other, abs=1e-3)
    lidar = (torch.linalg.inv(scene[2].global_from_ego) @ own[2].global_from_ego)[:2, 3]
    left, low, right, high = moment.maps[0].extent
    middle = (left + right) / 2, (low + high) / 2  # of whole pixels of 0.2 m
    assert middle == pytest.approx(lidar.tolist(), abs=0.11)


def test_a_checkpoint_is_asked_frame_by_frame(opened):
    config, scene = opened
    torch.manual_seed(0)
    model = config.model.build().eval()
    run = CheckpointRun("mine", config, model, config.data, scene)
    recording = collect(scene, [run], camera_width=32, least_score=0.0, places=[0, 2])
    assert recording.layers == ("ground truth", "mine") and len(recording.moments) == 2
    names = [one.name for one in recording.moments[0].maps]
    assert names == ["energy: view transform", "energy: BEV encoder"]
    expected = model.detect(run.batches[2])[0]
    assert recording.moments[1].boxes[1].center == pytest.approx(expected.center.numpy(), abs=1e-4)
    assert recording.moments[1].boxes[1].score == pytest.approx(expected.score.numpy())


def test_maps_of_several_heads_have_names_of_their_own(synthetic_world):
    config = load_config("docs/examples/maps.py")
    data = replace(config.data, root=synthetic_world, version="v1.0-synthetic", workers=0)
    scene = scene_of(data.source.open(data).frames("synthetic_val"))
    recording = collect(scene, camera_width=32, maps=(config.model, data), places=[0])
    names = [one.name for one in recording.moments[0].maps]
    assert sorted(names) == ["occupancy: ground truth", "segmentation: ground truth"]


def test_a_results_file_of_the_ground_truth_coincides_with_it(opened, tmp_path):
    config, scene = opened
    path = tmp_path / "results_nusc.json"
    path.write_text(json.dumps({"meta": {}, "results": gt_submission(scene)}))
    source = ResultsFile(path, config.data, list(scene.tokens), 0.0)
    run = BoxRun("file", config.data.source.labels, source)
    recording = collect(scene, [run], camera_width=32)
    for moment in recording.moments:
        truth, read = moment.boxes
        assert len(truth) == len(read) > 0
        order, other = (np.lexsort(one.center.round(2).T) for one in (truth, read))
        assert read.center[other] == pytest.approx(truth.center[order], abs=1e-3)
        assert read.size[other] == pytest.approx(truth.size[order], abs=1e-5)
        turn = read.yaw[other] - truth.yaw[order]
        assert np.cos(turn) == pytest.approx(np.ones(len(turn)), abs=1e-5)
        assert (read.label[other] == truth.label[order]).all()


def test_real_frames_are_collected(real_frames):
    """The vehicle's pose is tilted, and the principal points lie off the centres."""
    from bev.data.nuscenes.classes import NUSCENES

    frame = real_frames[0]
    picture = camera_picture(frame, 0, 64)
    left, top, right, bottom = picture.border
    assert abs(left + right) > 0.01 and right - left == pytest.approx(1600 / 1266, rel=0.05)
    assert NUSCENES.names[int(frame.boxes.label[0])]
