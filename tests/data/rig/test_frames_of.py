"""Frames from folders of images: which images belong together, their times, and the motion."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from bev.data.images.loading import load_image
from bev.data.rig import Distortion, Rig, RigCamera, frames_of
from bev.data.rig.frames import frames_by_moment, size_faults
from bev.errors import DataError

SIZE = (12, 16)
MATRIX = torch.tensor([[10.0, 0, 8], [0, 10, 6], [0, 0, 1]], dtype=torch.float64)


def pose(x: float = 0.0, y: float = 0.0, yaw: float = 0.0) -> torch.Tensor:
    cos, sin = math.cos(yaw), math.sin(yaw)
    rows = [[cos, -sin, 0, x], [sin, cos, 0, y], [0, 0, 1, 0], [0, 0, 0, 1]]
    return torch.tensor(rows, dtype=torch.float64)


def rig(*patterns: str, **given) -> Rig:
    names = ("front", "back", "left")
    cameras = [
        RigCamera(name, MATRIX, pose(float(place)), images=pattern, **given)
        for place, (name, pattern) in enumerate(zip(names, patterns, strict=False))
    ]
    return Rig(tuple(cameras))


def images(folder: Path, *names: str, size: tuple[int, int] = SIZE) -> Path:
    picture = cv2.imencode(".png", np.zeros((*size, 3), np.uint8))[1].tobytes()
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    return folder


def shown(frames) -> dict[str, list[str]]:
    return {frame.token: [camera.path.name for camera in frame.cameras] for frame in frames}


def test_the_only_star_names_the_moment_and_numbers_sort_by_value(tmp_path):
    folder = images(tmp_path, "f/img_2.png", "f/img_10.png", "b/2.png", "b/10.png", "f/.img_3.png")
    (folder / "f" / "img_notes.txt").write_text("")
    frames = frames_of(rig("f/img_*.png", "b/*.png"), folder)
    assert shown(frames) == {"2": ["img_2.png", "2.png"], "10": ["img_10.png", "10.png"]}
    assert [frame.timestamp for frame in frames] == [0, 500_000]
    assert {frame.scene for frame in frames} == {tmp_path.name}
    assert frames[0].cameras[0].size == SIZE
    assert torch.equal(frames[0].global_from_ego, pose())
    assert [f.timestamp for f in frames_of(rig("f/img_*.png"), folder, interval=0.1)] == [0, 10**5]


def test_a_file_for_each_camera_is_one_moment(tmp_path):
    frames = frames_of(rig("front.png", "back.png"), images(tmp_path, "front.png", "back.png"))
    assert shown(frames) == {"image": ["front.png", "back.png"]}


def test_sequences_are_sub_folders(tmp_path):
    folder = images(
        tmp_path, *(f"run{n}/{c}/{i}.png" for n in (1, 2) for c in "fb" for i in (1, 2))
    )
    frames = frames_of(rig("{sequence}/f/{moment}.png", "{sequence}/b/{moment}.png"), folder)
    assert [frame.token for frame in frames] == ["run1/1", "run1/2", "run2/1", "run2/2"]
    assert [frame.scene for frame in frames] == ["run1", "run1", "run2", "run2"]
    assert [frame.timestamp for frame in frames] == [0, 500_000, 0, 500_000]


def test_images_with_times_belong_to_the_nearest_of_the_first_camera(tmp_path):
    """Frames of 0.1 s, the second camera 30 ms later, with one image more at the end."""
    folder = images(tmp_path, *(f"f/{n}.{n}00.png" for n in (1, 2, 3)))
    images(folder, "b/1130.png", "b/2230.png", "b/3330.png", "b/9000.png")
    frames = frames_of(rig("f/{seconds}.png", "b/{milliseconds}.png"), folder)
    assert [frame.timestamp for frame in frames] == [1_100_000, 2_200_000, 3_300_000]
    assert [frame.cameras[1].path.name for frame in frames] == ["1130.png", "2230.png", "3330.png"]


def test_whole_numbers_of_nanoseconds_are_not_rounded_to_floats(tmp_path):
    folder = images(tmp_path, "f/1533151603512404123.png")
    assert frames_of(rig("f/{nanoseconds}.png"), folder)[0].timestamp == 1533151603512404


def test_poses_are_interpolated_at_the_time_of_each_image(tmp_path):
    """10 m/s ahead and 0.2 rad/s to the left; the second camera takes its image 0.1 s later.

    In the ego frame at 0.5 s (yaw 0.1), the vehicle is 1 m further ahead in global x, that is
    (cos 0.1, -sin 0.1), and turned by 0.02 rad.
    """
    folder = images(tmp_path, "f/0.5.png", "b/0.6.png")
    poses = tmp_path / "poses.csv"
    rows = ["seconds, x, y, z, qw, qx, qy, qz"]
    rows += [f"{t}, {10 * t}, 0, 0, {math.cos(0.1 * t)}, 0, 0, {math.sin(0.1 * t)}" for t in (0, 1)]
    poses.write_text("\n".join(rows))
    (frame,) = frames_of(rig("f/{seconds}.png", "b/{seconds}.png"), folder, poses)
    torch.testing.assert_close(frame.global_from_ego, pose(5.0, 0.0, 0.1), rtol=0, atol=1e-12)
    assert torch.equal(frame.cameras[0].ego_from_camera, pose(0.0))
    motion = pose(math.cos(0.1), -math.sin(0.1), 0.02)
    expected = motion @ pose(1.0)
    torch.testing.assert_close(frame.cameras[1].ego_from_camera, expected, rtol=0, atol=1e-12)


def test_poses_and_times_may_be_named_by_moment_and_image(tmp_path):
    folder = images(tmp_path, *(f"{c}/{n}.png" for c in "fb" for n in (1, 2)))
    own = rig("f/*.png", "b/*.png")
    row = {"translation": [1, 2, 0], "rotation": [1, 0, 0, 0]}
    poses = tmp_path / "poses.json"
    poses.write_text(json.dumps([{"moment": 1} | row, {"moment": "2"} | row]))
    frames = frames_of(own, folder, poses)
    assert all(torch.equal(frame.global_from_ego, pose(1, 2)) for frame in frames)
    times = tmp_path / "times.csv"
    times.write_text("image,microseconds\nf/1.png,7\nf/2.png,5\nb/1.png,8\nb/2.png,6\n")
    frames = frames_of(own, folder, times=times)
    assert [(frame.token, frame.timestamp) for frame in frames] == [("2", 5), ("1", 7)]
    times.write_text("moment,seconds\n1,1\n2,2\n")
    poses.write_text(json.dumps([{"timestamp": 10**6 * t} | row for t in (1, 2)]))
    frames = frames_of(own, folder, poses, times)
    assert all(torch.equal(f.cameras[1].ego_from_camera, pose(1)) for f in frames)


MOVING = "moment,seconds,x,y,z,qw,qx,qy,qz\n"


def test_poses_with_times_and_moments_time_images_without_times(tmp_path):
    """Moment 2 was 0.25 s before moment 1; the pose between them is of no image."""
    folder, poses = images(tmp_path, "f/1.png", "f/2.png", "b/1.png", "b/2.png"), tmp_path / "p.csv"
    own = rig("f/*.png", "b/*.png")
    rows = ["1,7.25,3,0,0,1,0,0,0", ",7.125,9,0,0,1,0,0,0", "2,7,1,0,0,1,0,0,0"]
    poses.write_text(MOVING + "\n".join(rows))
    frames = frames_of(own, folder, poses)
    assert [(f.token, f.timestamp) for f in frames] == [("2", 7_000_000), ("1", 7_250_000)]
    for frame, x in zip(frames, (1, 3), strict=True):
        assert torch.equal(frame.global_from_ego, pose(x))
        assert torch.equal(frame.cameras[1].ego_from_camera, pose(1))
    times = tmp_path / "times.csv"
    times.write_text("moment,seconds\n1,7\n2,7.25\n")  # times of the images come first
    frames = frames_of(own, folder, poses, times)
    assert [(f.token, f.global_from_ego[0, 3].item()) for f in frames] == [("1", 1), ("2", 3)]
    images(tmp_path, "f/3.png", "b/3.png")
    with pytest.raises(DataError, match=r"Poses .*p\.csv have no row for image f/3\.png"):
        frames_of(own, folder, poses)


def test_two_rows_of_a_moment_are_an_error_only_where_they_give_its_time(tmp_path):
    folder, poses = images(tmp_path, "f/1.png", "t/0.5.png"), tmp_path / "p.csv"
    poses.write_text(MOVING + "1,0,0,0,0,1,0,0,0\n1,1,4,0,0,1,0,0,0\n")
    (frame,) = frames_of(rig("t/{seconds}.png"), folder, poses)
    assert torch.equal(frame.global_from_ego, pose(2))
    with pytest.raises(DataError, match="row 2 has moment 1 again, and the images have no times"):
        frames_of(rig("f/*.png"), folder, poses)


def test_the_time_of_an_image_comes_before_that_of_its_moment(tmp_path):
    folder, times = images(tmp_path, "f/1.png", "b/1.png"), tmp_path / "times.csv"
    times.write_text("image,moment,seconds\nb/1.png,,2\n,1,1\n")
    ((moment, frame),) = frames_by_moment(rig("f/*.png", "b/*.png"), folder, times=times)
    assert moment.times == {"front": 1_000_000, "back": 2_000_000}
    assert frame.timestamp == 1_000_000


def test_a_motion_goes_on_shortly_beyond_the_poses(tmp_path):
    folder = images(tmp_path, "f/1.05.png")
    poses = tmp_path / "poses.csv"
    poses.write_text("seconds,x,y,z,qw,qx,qy,qz\n0,0,0,0,1,0,0,0\n1,10,0,0,1,0,0,0\n")
    (frame,) = frames_of(rig("f/{seconds}.png"), folder, poses)
    torch.testing.assert_close(frame.global_from_ego, pose(10.5), rtol=0, atol=1e-12)


def test_tables_of_spreadsheets_end_in_empty_rows_and_repeat_no_column(tmp_path):
    folder = images(tmp_path, "front/1.png", "front/2.png")
    table = tmp_path / "times.csv"
    table.write_text("moment,seconds\n1,3\n2,4\n,\n , \n")
    frames = frames_of(rig("front/*.png"), folder, times=table)
    assert [frame.timestamp for frame in frames] == [3_000_000, 4_000_000]
    table.write_text("moment,seconds\n1,3\n,\n2,x\n")
    with pytest.raises(DataError, match="row 3: seconds is 'x'"):
        frames_of(rig("front/*.png"), folder, times=table)
    table.write_text("moment,seconds\n,\n")
    with pytest.raises(DataError, match="has no rows"):
        frames_of(rig("front/*.png"), folder, times=table)
    table.write_text("moment,seconds, seconds\n1,3,5\n2,4,6\n")
    with pytest.raises(DataError, match="its header has 'seconds' twice"):
        frames_of(rig("front/*.png"), folder, times=table)


def test_a_missing_image_names_the_camera_and_the_moment(tmp_path):
    folder = images(tmp_path, "f/1.png", "f/2.png", "b/1.png")
    own = rig("f/*.png", "b/*.png")
    with pytest.raises(DataError, match=r"Camera back has no image of moment 2 \(b/\*.png in"):
        frames_of(own, folder)
    frames = frames_of(own, folder, missing="skip")
    assert [len(frame.cameras) for frame in frames] == [2, 1]
    with pytest.raises(DataError, match="Camera left has no image: l/.* matches no image file"):
        frames_of(rig("f/*.png", "b/*.png", "l/*.png"), folder)
    with pytest.raises(DataError, match="does not exist"):
        frames_of(own, tmp_path / "none")
    images(folder, "b/2.png", "b/1.jpg")
    with pytest.raises(DataError, match="Camera back has two images of moment 1"):
        frames_of(rig("f/*", "b/*"), folder)


def test_an_image_of_another_size_names_the_camera_and_both_sizes(tmp_path):
    folder = images(tmp_path, "f/1.png")
    own = rig("f/*.png", size=(24, 32))
    with pytest.raises(DataError, match="Camera front: .* is 16x12, .* is for 32x24"):
        frames_of(own, folder)
    images(folder, "f/2.png", size=(24, 32))
    frames = frames_of(rig("f/*.png"), folder)  # its size is that of the first image
    (fault,) = size_faults(frames)
    assert "Camera front: Image" in str(fault) and "2.png is 32x24, but its cal" in str(fault)
    with pytest.raises(DataError, match="Camera front: Image .*2.png is 32x24, but its"):
        load_image(frames[1].cameras[0], torch.eye(3, dtype=torch.float64), SIZE)
    (folder / "f" / "1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="Camera front: .*1.png is not an image"):
        frames_of(rig("f/*.png"), folder)


POSES = "seconds,x,y,z,qw,qx,qy,qz\n"
BAD_POSES = {
    "row 1: qz is missing": "seconds,x,y,z,qw,qx,qy\n0,0,0,0,1,0,0\n",
    "row 1: x is 'a'; give a finite number": POSES + "0,a,0,0,1,0,0,0\n",
    "rotation .* has length 0": POSES + "0,0,0,0,0,0,0,0\n",
    "has neither a time": "x,y,z,qw,qx,qy,qz\n0,0,0,1,0,0,0\n",
    "has no rows": POSES,
    "row 2 has time 0 microseconds again": POSES + "0,0,0,0,1,0,0,0\n" * 2,
    "The image .*1.0.png of camera front was taken 0.9 s after the last": (
        POSES + "0.1,0,0,0,1,0,0,0\n"
    ),
    "lies between poses that are 9 s apart": POSES + "0,0,0,0,1,0,0,0\n9,0,0,0,1,0,0,0\n",
    "is no place in metres": POSES + "0,1e300,0,0,1,0,0,0\n",
    "seconds is '1e300', which is no time": POSES + "1e300,0,0,0,1,0,0,0\n",
    "seconds is '1e15', which is no time": POSES + "1e15,0,0,0,1,0,0,0\n",
}


@pytest.mark.parametrize("message", BAD_POSES)
def test_poses_that_cannot_be_used_are_one_sentence(message, tmp_path):
    folder = images(tmp_path, "f/1.0.png")
    (tmp_path / "poses.csv").write_text(BAD_POSES[message])
    with pytest.raises(DataError, match=message):
        frames_of(rig("f/{seconds}.png"), folder, tmp_path / "poses.csv")


def test_poses_with_times_need_images_with_times(tmp_path):
    folder = images(tmp_path, "f/1.png")
    (tmp_path / "poses.csv").write_text(POSES + "0,0,0,0,1,0,0,0\n")
    with pytest.raises(DataError, match="have times, and the images of moment 1 have none"):
        frames_of(rig("f/*.png"), folder, tmp_path / "poses.csv")
    (tmp_path / "times.csv").write_text("image,seconds\nf/2.png,0\n")
    with pytest.raises(DataError, match="have no row for image f/1.png"):
        frames_of(rig("f/*.png"), folder, times=tmp_path / "times.csv")
    (tmp_path / "times.csv").write_text("image,seconds\nf/1.png,0\nf/1.png,1\n")
    with pytest.raises(DataError, match="row 2 has f/1.png again"):
        frames_of(rig("f/*.png"), folder, times=tmp_path / "times.csv")


def test_the_cameras_of_frames_have_no_distortion_left(tmp_path):
    folder = images(tmp_path, "f/1.png")
    lens = Distortion("plumb_bob", (-0.1, 0.0, 0.0, 0.0))
    (frame,) = frames_of(rig("f/*.png", distortion=lens), folder)
    camera = frame.cameras[0]
    assert camera.lens.straight and camera.stored is not None
    assert torch.equal(camera.intrinsics, MATRIX) and camera.stored.size == SIZE


def test_a_linked_folder_is_a_sequence_of_its_own_name(tmp_path, monkeypatch):
    """Boxes that are detected in it are those of this sequence, also for a folder of one's own."""
    images(tmp_path / "drive_001", "front/1.png")
    (tmp_path / "monday").symlink_to("drive_001")
    names = [frames_of(rig("front/*.png"), tmp_path / "monday")[0].scene]
    monkeypatch.chdir(tmp_path / "monday")
    names.append(frames_of(rig("front/*.png"), Path("."))[0].scene)
    assert names == ["monday", "drive_001"]
