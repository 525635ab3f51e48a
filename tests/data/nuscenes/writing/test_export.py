"""Images of a rig as nuScenes tables: read back, they are the images, cameras and boxes again."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from commands import call
from own_rig import write_drive

from bev.data.boxes_file import BoxesFile, FrameBoxes, write_boxes
from bev.data.images.loading import load_image
from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.data.rig import Distortion, Rig, RigCamera, frames_of, load_rig, save_rig
from bev.geometry import Boxes3D

MATRIX = torch.tensor([[60.0, 0, 48], [0, 60, 32], [0, 0, 1]], dtype=torch.float64)
FORWARD = torch.tensor([[0.0, 0, 1, 1], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]]).double()
VERSION = "v1.0-rig"


def drive(folder: Path) -> Path:
    """Two sequences of two moments, 0.1 s apart in time from camera to camera, at 10 m/s."""
    lens = Distortion("plumb_bob", (-0.2, 0.02, 0.0, 0.0))
    plain = RigCamera("a", MATRIX, FORWARD, (64, 96), images="{sequence}/a_{seconds}.png")
    bent = RigCamera("b", MATRIX, FORWARD, (64, 96), lens, "{sequence}/b_{seconds}.png")
    save_rig(Rig((plain, bent)), folder / "rig.yaml")
    noise = np.random.default_rng(0).integers(0, 255, (8, 12, 3), np.uint8)
    picture = cv2.imencode(".png", cv2.resize(noise, (96, 64)))[1].tobytes()
    for sequence in ("one", "two"):
        (folder / sequence).mkdir()
        for time in (1.0, 1.5):
            (folder / sequence / f"a_{time}.png").write_bytes(picture)
            (folder / sequence / f"b_{time + 0.1}.png").write_bytes(picture)
    turn = f"{math.cos(0.3)},0,0,{math.sin(0.3)}"
    rows = [f"{t},{5 + 10 * t},2,0,{turn}" for t in (0, 1, 2)]
    (folder / "poses.csv").write_text("\n".join(["seconds,x,y,z,qw,qx,qy,qz", *rows]))
    return folder


def test_an_export_is_read_back(tmp_path):
    folder = drive(tmp_path)
    frames = frames_of(load_rig(folder / "rig.yaml"), folder, folder / "poses.csv")
    # 10 m ahead at rest: the vehicle moves by 5 m to global x, 0.6 rad from its own x.
    places = [[10.0, 1.0, 0.8], [10 - 5 * math.cos(0.6), 1 + 5 * math.sin(0.6), 0.8]]
    boxes = [
        Boxes3D.make(
            torch.tensor([place, [0.0, 5.0, 1.0]]),
            torch.tensor([[4.0, 2, 1.6], [1, 1, 2]]),
            torch.tensor([0.2, -2.0]),
            label=torch.tensor([0, 1]),
            attribute=torch.tensor([0, -1]),
            score=torch.tensor([0.9, 0.2]),
        )
        for place in places
    ]
    rows = [
        FrameBoxes(frame.token, own, tracks=("7", ""))
        for frame, own in zip(frames[:2], boxes, strict=True)
    ]
    write_boxes(folder / "b.json", BoxesFile(tuple(rows), ("car", "robot"), ("vehicle.parked",)))
    out = tmp_path / "out"
    command = ["rig.py", "export-nuscenes", folder / "rig.yaml", "--images", folder, "--out", out]
    command += ["--poses", folder / "poses.csv", "--val", "two"]
    text, _ = call(*command, "--boxes", folder / "b.json", "--score", "0.5")
    assert "4 samples of 2 scenes" in text and "stand still" not in text
    _, error = call(*command, code=1)
    assert "exists and is not an empty folder" in error
    index = open_index(out, VERSION)
    splits = ("rig_train", "rig_val")
    found = [frame for split in splits for frame in read_frames(index, split, ("a", "b"))]
    assert [frame.scene for frame in found] == ["one", "one", "two", "two"]
    for frame, own in zip(found, frames, strict=True):
        assert frame.timestamp == own.timestamp
        for one, other in zip(frame.cameras, own.cameras, strict=True):
            torch.testing.assert_close(one.ego_from_camera, other.ego_from_camera)
            assert torch.equal(one.intrinsics, other.intrinsics) and one.size == other.size
            eye = torch.eye(3, dtype=torch.float64)
            pair = [load_image(c, eye, (64, 96)).float() for c in (one, other)]
            assert (pair[0] - pair[1]).abs().mean() < (0.1 if one.name == "a" else 3)
    for frame, own in zip(found[:2], boxes, strict=True):
        # The robot has no class of nuScenes, and its score is low.
        torch.testing.assert_close(frame.boxes.center, own.center[:1], rtol=0, atol=1e-5)
        torch.testing.assert_close(frame.boxes.yaw, own.yaw[:1], rtol=0, atol=1e-5)
        torch.testing.assert_close(frame.boxes.size, own.size[:1])
        torch.testing.assert_close(frame.boxes.velocity, torch.zeros(1, 2), rtol=0, atol=1e-4)
    assert len(found[2].boxes) == 0


def test_the_devkit_opens_an_export_and_check_data_finds_no_error(synthetic_world, tmp_path):
    from nuscenes import NuScenes

    write_drive(tmp_path / "drive", synthetic_world, tmp_path / "boxes.json")
    out = tmp_path / "out"
    call(
        "rig.py", "export-nuscenes", tmp_path / "drive" / "rig.yaml",
        "--images", tmp_path / "drive" / "images", "--out", out, "--boxes", tmp_path / "boxes.json",
    )  # fmt: skip
    devkit = NuScenes(VERSION, str(out), verbose=False)
    assert len(devkit.sample) == 4 and len(devkit.sample_annotation) > 4
    assert Path(devkit.get_sample_data_path(devkit.sample_data[0]["token"])).is_file()
    call("check_data.py", out, "--version", VERSION)


def test_an_image_of_another_size_than_its_camera_is_refused(tmp_path):
    """Neither the first image of its camera nor, with distortion, one that is copied."""
    folder = drive(tmp_path)
    command = ["rig.py", "export-nuscenes", folder / "rig.yaml", "--images", folder]
    command += ["--out", tmp_path / "out"]
    small = cv2.imencode(".png", np.zeros((32, 48, 3), np.uint8))[1].tobytes()
    for camera, name in (("a", "two/a_1.5.png"), ("b", "two/b_1.6.png")):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(small)
        _, error = call(*command, code=1)
        assert f"Camera {camera}: Image" in error
        assert f"{name} is 48x32, but its calibration is for 96x64" in error
        (folder / name).write_bytes(whole)
    assert not (tmp_path / "out").exists() and not [*tmp_path.glob(".out*")]


def test_boxes_of_unknown_frames_and_lenses_without_fields_are_refused(tmp_path):
    folder = drive(tmp_path)
    row = FrameBoxes("three/1", Boxes3D.empty())
    write_boxes(folder / "b.json", BoxesFile((row,), ("car",)))
    command = ["rig.py", "export-nuscenes", folder / "rig.yaml", "--images", folder]
    command += ["--out", tmp_path / "out"]
    _, error = call(*command, "--boxes", folder / "b.json", code=1)
    assert "The boxes have frame 'three/1'" in error
    _, error = call(*command, "--val", "none", code=1)
    assert "no sequence 'none'; there are one, two" in error
    text = (folder / "rig.yaml").read_text()
    (folder / "rig.yaml").write_text(
        text.replace("  distortion:", "  keep_lens: true\n  distortion:")
    )
    _, error = call(*command, code=1)
    assert "Camera b keeps a lens that nuScenes' format has no fields for" in error
    assert not (tmp_path / "out").exists() and not [*tmp_path.glob(".out*")]


def stand(folder: Path) -> list[Path | str]:
    """One camera's images without times; the vehicle moves 10 m in a second, by its boxes alone.

    An object stands at global x = 20 m. Returns the command that exports the folder.
    """
    pixels = np.zeros((64, 96, 3), np.uint8)
    rig = Rig((RigCamera("front", MATRIX, FORWARD, (64, 96), images="front/*.png"),))
    (folder / "drive" / "front").mkdir(parents=True)
    save_rig(rig, folder / "rig.yaml")
    rows = []
    for number in (0, 1):
        cv2.imwrite(str(folder / "drive" / "front" / f"{number}.png"), pixels)
        pose = torch.eye(4, dtype=torch.float64)
        pose[0, 3] = 10 * number
        box = Boxes3D.make(
            torch.tensor([[20.0 - 10 * number, 1, 0.8]]), torch.tensor([[4.0, 2, 1.6]]),
            torch.zeros(1), label=torch.zeros(1, dtype=torch.long),
        )  # fmt: skip
        time = 1_000_000_000 + 1_000_000 * number
        rows.append(FrameBoxes(str(number), box, "", time, pose, ("7",)))
    write_boxes(folder / "drive" / "boxes.json", BoxesFile(tuple(rows), ("car",)))
    command = ["rig.py", "export-nuscenes", folder / "rig.yaml", "--images", folder / "drive"]
    return [*command, "--out", folder / "out", "--boxes", folder / "drive" / "boxes.json"]


def test_boxes_are_at_the_times_and_in_the_frames_that_their_file_states(tmp_path):
    """As in a folder of images: what stands in the world stands in the tables."""
    command = stand(tmp_path)
    text, _ = call(*command)
    assert "poses are those of the boxes" in text
    index = open_index(tmp_path / "out", VERSION)
    found = list(read_frames(index, "rig_all", ("front",)))
    assert [frame.timestamp for frame in found] == [1_000_000_000, 1_001_000_000]
    for number, frame in enumerate(found):
        assert frame.global_from_ego[0, 3] == 10 * number
        torch.testing.assert_close(frame.cameras[0].ego_from_camera, FORWARD)
        torch.testing.assert_close(frame.boxes.center, torch.tensor([[20.0 - 10 * number, 1, 0.8]]))
        torch.testing.assert_close(frame.boxes.velocity, torch.zeros(1, 2))


def test_boxes_beside_poses_of_the_images_keep_both_in_place(tmp_path):
    """The boxes' ego frame is 1 m behind that of the images, whose cameras stay in the world."""
    command = stand(tmp_path)
    rows = "\n".join(f"{n},{10 * n + 1},0,0,1,0,0,0" for n in (0, 1))
    (tmp_path / "poses.csv").write_text("moment,x,y,z,qw,qx,qy,qz\n" + rows)
    text, _ = call(*command, "--poses", tmp_path / "poses.csv")
    assert "no --poses" not in text
    for number, frame in enumerate(
        read_frames(open_index(tmp_path / "out", VERSION), "rig_all", ("front",))
    ):
        in_world = frame.global_from_ego @ frame.cameras[0].ego_from_camera
        assert in_world[0, 3] == FORWARD[0, 3] + 10 * number + 1
        box = frame.global_from_ego[:3, :3] @ frame.boxes.center[0].double()
        assert abs(float(box[0] + frame.global_from_ego[0, 3]) - 20) < 1e-5


@pytest.mark.parametrize("field", ["timestamp", "global_from_ego"])
def test_boxes_with_a_time_or_pose_for_some_frames_alone_are_refused(field, tmp_path):
    command = stand(tmp_path)
    path = tmp_path / "drive" / "boxes.json"
    content = json.loads(path.read_text())
    content["frames"][1].pop(field)
    path.write_text(json.dumps(content))
    _, error = call(*command, code=1)
    assert f"The file of boxes, frame '1' has no {field}, but others have" in error
    assert not (tmp_path / "out").exists()


def test_a_split_without_training_and_a_link_as_folder(tmp_path):
    folder = drive(tmp_path)
    command = ["rig.py", "export-nuscenes", folder / "rig.yaml", "--images", folder]
    (tmp_path / "there").mkdir()
    (tmp_path / "out").symlink_to("there")
    command += ["--out", tmp_path / "out"]
    _, error = call(*command, "--val", "one", "two", code=1)
    assert "none is left for rig_train" in error
    call(*command, "--val", "one", "one")
    splits = json.loads((tmp_path / "there" / VERSION / "splits.json").read_text())
    assert splits == {"rig_train": ["two"], "rig_val": ["one"]}


def test_boxes_of_one_time_are_refused(tmp_path):
    """The time names the image files, of which one would be written over the other."""
    command = stand(tmp_path)
    path = tmp_path / "drive" / "boxes.json"
    content = json.loads(path.read_text())
    for frame in content["frames"]:
        frame["timestamp"] = 0
    path.write_text(json.dumps(content))
    _, error = call(*command, code=1)
    assert "frames '0' and '1' have the same time, 0 microseconds" in error
