"""``bevlab detect``: a folder of images and a rig file to boxes, pictures and results."""

import json
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from commands import attempt, call
from PIL import Image
from required import need
from rig_folder import rig_of, write_folder

from bev import load_detector
from bev.cli.detect.run import _Results
from bev.cli.detect.submission import read_tokens
from bev.data.boxes_file import BoxesFile, read_boxes, write_boxes
from bev.data.frame import Frame
from bev.data.rig import save_rig
from bev.evaluation.nuscenes.submission import submission_rows
from bev.visualization.canvas import save_png


@pytest.fixture(scope="module")
def frames(single):
    """Three frames, all with the calibration of the first, as a rig has it."""
    data = load_detector(single, "cpu").config.data
    frames = data.source.open(data).frames("synthetic_val")
    poses = {c.name: c.ego_from_camera for c in frames[0].cameras}
    return [
        replace(
            frame,
            cameras=tuple(replace(c, ego_from_camera=poses[c.name]) for c in frame.cameras),
            adjacent=(),
        )
        for frame in (frames[0], frames[1], frames[2])
    ]


@pytest.fixture(scope="module")
def folder(frames, tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("drive"), frames)


def words(model, folder, out, *more):
    """Words of the command."""
    place = ["--rig", folder / "rig.yaml", "--images", folder / "images", "--out", out]
    return [model, *place, "--device", "cpu", *more]


def test_boxes_and_pictures_of_a_folder(single, folder, frames, tmp_path):
    out = tmp_path / "out"
    args = words(single, folder, out, "--score", "0.0102", "--batch-size", "2")
    printed, _ = call("detect.py", *args)
    content = read_boxes(out / "boxes.json")
    detector = load_detector(single, "cpu")
    assert content.classes == detector.labels.names and content.info["score"] == 0.0102
    expected = detector.detect(frames, 0.0102)
    total = 0
    for number, (frame, found) in enumerate(zip(content.frames, expected, strict=True)):
        assert frame.token == f"{number:04d}" and frame.scene == "images"
        assert frame.images["CAM_FRONT"] == f"CAM_FRONT/{number:04d}.jpg"
        assert frame.timestamp == 500_000 * number and frame.global_from_ego is None
        assert torch.allclose(frame.boxes.score, found.boxes.score, atol=1e-5)
        total += len(found)
    assert total > 10 and f"{total} boxes with a score of at least 0.0102 in 3 frames" in printed
    pictures = sorted((out / "pictures").iterdir())
    assert [path.name for path in pictures] == [f"{n:04d}_{n:04d}.png" for n in range(3)]
    assert cv2.imread(str(pictures[0])).std() > 10
    status, _, error = attempt("detect.py", *args)
    assert status == 1 and "boxes.json exists already" in error and "--overwrite" in error
    printed, _ = call(
        "detect.py", *words(single, folder, out), "--score", "1", "--no-pictures", "--overwrite"
    )
    assert "0 boxes" in printed and "the highest score is 0." in printed
    assert [len(frame.boxes) for frame in read_boxes(out / "boxes.json").frames] == [0, 0, 0]


def test_a_sequence_of_a_temporal_model(temporal, folder, frames, tmp_path):
    args = words(temporal, folder, tmp_path, "--no-pictures", "--score", "0")
    status, _, error = attempt("detect.py", *args)
    assert status == 1 and "--poses" in error and "--standing-still" in error
    motion = ["--poses", folder / "poses.csv", "--times", folder / "times.csv"]
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("".join(f"{frame.token}\n" for frame in frames))
    call("detect.py", *args, *motion, "--tokens", tokens)
    stream = load_detector(temporal, "cpu").stream()
    expected = [stream.detect(frame, 0) for frame in frames]
    content = read_boxes(tmp_path / "boxes.json")
    results = json.loads((tmp_path / "results_nusc.json").read_text())["results"]
    assert list(results) == [frame.token for frame in frames]
    for frame, read, found in zip(frames, content.frames, expected, strict=True):
        assert torch.allclose(read.boxes.center, found.boxes.center, atol=1e-3)
        assert read.timestamp == frame.timestamp
        assert torch.allclose(read.global_from_ego, frame.global_from_ego, atol=1e-6)
        rows = submission_rows(frame.token, found.boxes, frame.global_from_ego)
        for own, row in zip(results[frame.token], rows, strict=True):
            assert own["translation"] == pytest.approx(row["translation"], abs=1e-3)
    _, error = call("detect.py", *args, "--standing-still", "--overwrite")
    assert "taken to stand still" in error
    still = read_boxes(tmp_path / "boxes.json").frames[2].boxes.score
    assert len(still) != len(expected[2]) or not torch.equal(still, expected[2].boxes.score)


def test_a_single_moment_needs_no_motion(temporal, frames, tmp_path):
    write_folder(tmp_path, frames[:1])
    call("detect.py", *words(temporal, tmp_path, tmp_path / "out", "--no-pictures"))
    assert len(read_boxes(tmp_path / "out" / "boxes.json").frames) == 1


def test_a_video_of_a_folder(single, folder, tmp_path):
    need("imageio_ffmpeg")
    video = tmp_path / "drive.mp4"
    more = ["--video", video, "--no-pictures", "--camera-width", "120", "--fps", "3"]
    call("detect.py", *words(single, folder, tmp_path / "out", *more))
    reader = cv2.VideoCapture(str(video))
    assert (reader.get(cv2.CAP_PROP_FRAME_COUNT), reader.get(cv2.CAP_PROP_FPS)) == (3, 3)
    assert not (tmp_path / "out" / "pictures").exists()
    args = words(single, folder, tmp_path / "other", "--video", video)
    assert "drive.mp4 exists already" in attempt("detect.py", *args)[2]


def test_boxes_are_kept_for_results_alone_and_turned_images_are_named(
    single, frames, tmp_path, monkeypatch
):
    """An hour of driving would not fit into memory."""
    folder = write_folder(tmp_path / "drive", frames)
    path = next((folder / "images" / "CAM_BACK").iterdir())
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(path).save(path, exif=exif)
    kept, close = [], _Results.summary
    monkeypatch.setattr(
        _Results, "summary", lambda self: (kept.append(len(self.found)), close(self))[1]
    )
    _, warned = call("detect.py", *words(single, folder, tmp_path / "out", "--no-pictures"))
    assert kept == [0]
    assert "0000.jpg of camera CAM_BACK: orientation 3" in warned


def test_tokens_of_names_with_spaces(tmp_path):
    frames = [Frame(f"night drive, 2/{number}", ()) for number in range(2)]
    for between in " ", ",", ", ":
        rows = [f"{frame.token}{between}t{n}" for n, frame in enumerate(frames)]
        (tmp_path / "tokens.txt").write_text("\n".join(reversed(rows)))
        found = read_tokens(tmp_path / "tokens.txt", frames)
        assert found == {frame.token: f"t{n}" for n, frame in enumerate(frames)}


@pytest.mark.parametrize("rows", ["t0\r\nt1\r\n", "b t1\r\na t0\r\n"])
def test_tokens_of_an_editor_that_marks_utf8(rows, tmp_path):
    (tmp_path / "tokens.txt").write_bytes(rows.encode("utf-8-sig"))
    frames = [Frame(name, ()) for name in "ab"]
    assert read_tokens(tmp_path / "tokens.txt", frames) == {"a": "t0", "b": "t1"}


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ("a\nb\n", "2 lines for 3 frames"),
        ("a\nb\na\n", "token 'a' for two frames"),
        ("0000 a\n0001 b\n", "no line for frame '0002'"),
        ("0000 a\nb\n", "in each line"),
        ("0000 a\n0001 b\n0002 c\n0001 d\n", "2 lines for '0001'"),
        (None, "cannot be read"),
    ],
)
def test_faults_of_tokens_are_named(single, folder, tmp_path, lines, named):
    path = tmp_path / "tokens.txt"
    if lines is not None:
        path.write_text(lines)
    poses = ["--poses", folder / "poses.csv"]
    args = words(single, folder, tmp_path / "out", "--tokens", path)
    status, _, error = attempt("detect.py", *args, *poses)
    assert status == 1 and named in error
    assert "--tokens needs the poses" in attempt("detect.py", *args)[2]


def test_other_classes_than_those_of_the_results_end_it_before_detection(
    single, folder, tmp_path, monkeypatch
):
    (tmp_path / "tokens.txt").write_text("a\nb\nc\n")
    motion = ["--poses", folder / "poses.csv", "--tokens", tmp_path / "tokens.txt"]
    monkeypatch.setattr("bev.data.nuscenes.classes.CLASSES", ("tram",))
    status, _, error = attempt("detect.py", *words(single, folder, tmp_path / "out", *motion))
    assert status == 1 and "need a model of its classes" in error
    assert not (tmp_path / "out").exists()


def test_a_rig_that_contradicts_the_images_is_named(single, folder, frames, tmp_path):
    rig = rig_of(frames[0])
    front = replace(rig.cameras[0], size=(450, 1600))
    save_rig(replace(rig, cameras=(front, *rig.cameras[1:])), tmp_path / "rig.yaml")
    args = words(single, folder, tmp_path / "out", "--rig", tmp_path / "rig.yaml")
    status, _, error = attempt("detect.py", *args)
    assert status == 1 and "CAM_FRONT" in error and "1600x450" in error


def test_images_that_no_moment_uses_are_named(single, frames, tmp_path):
    write_folder(tmp_path, frames[:1])
    own = rig_of(frames[0])
    cameras = [replace(c, images=f"images/{c.name}/{{seconds}}.jpg") for c in own.cameras]
    save_rig(replace(own, cameras=tuple(cameras)), tmp_path / "rig.yaml")
    back = tmp_path / "images" / "CAM_BACK"
    (back / "0.1.jpg").write_bytes((back / "0000.jpg").read_bytes())
    args = ["--rig", tmp_path / "rig.yaml", "--images", tmp_path, "--out", tmp_path / "out"]
    _, error = call("detect.py", single, *args, "--device", "cpu", "--no-pictures")
    assert "warning: image that no moment uses (CAM_BACK: images/CAM_BACK/0.1.jpg): " in error


def test_what_was_found_before_an_error_is_kept_and_continued_by_overwriting(
    single, frames, tmp_path
):
    folder, out = write_folder(tmp_path, frames), tmp_path / "out"
    damaged = folder / "images" / "CAM_BACK" / "0002.jpg"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    args = words(single, folder, out, "--score", "0", "--batch-size", "2", "--no-pictures")
    status, _, error = attempt("detect.py", *args)
    assert status == 1 and "CAM_BACK" in error
    kept = read_boxes(out / "boxes.json")
    assert [frame.token for frame in kept.frames] == ["0000", "0001"] and kept.info["unfinished"]
    assert "exists already" in attempt("detect.py", *args)[2]
    damaged.write_bytes(whole)
    call("detect.py", *args, "--overwrite")
    content = read_boxes(out / "boxes.json")
    assert len(content.frames) == 3 and "unfinished" not in content.info
    for one, other in zip(kept.frames, content.frames, strict=False):
        assert torch.equal(one.boxes.center, other.boxes.center)


def test_overwriting_removes_pictures_of_its_own_alone(single, folder, frames, tmp_path):
    out = tmp_path / "out"
    call("detect.py", *words(single, folder, out, "--camera-width", "120"))
    pictures = out / "pictures"
    foreign = ["0000_drawn.png", "0001_0001.txt", "0009_another.png"]
    cv2.imwrite(str(pictures / foreign[0]), cv2.imread(str(pictures / "0000_0000.png")))
    (pictures / foreign[1]).write_text("a note")
    save_png(np.zeros((4, 4, 3), np.uint8), pictures / foreign[2])  # of another command
    shorter = write_folder(tmp_path / "shorter", frames[:1])
    args = words(single, shorter, out, "--overwrite", "--camera-width", "120")
    call("detect.py", *args)
    assert sorted(path.name for path in pictures.iterdir()) == sorted(["0000_0000.png", *foreign])
    call("detect.py", *args, "--no-pictures")
    assert sorted(path.name for path in pictures.iterdir()) == sorted(foreign)


def test_a_file_in_the_place_of_the_folder_is_named(single, folder, tmp_path):
    (tmp_path / "out").write_text("")
    status, _, error = attempt("detect.py", *words(single, folder, tmp_path / "out"))
    assert status == 1 and "out is a file; name a folder" in error


def test_boxes_of_others_are_not_overwritten(single, folder, tmp_path):
    own = BoxesFile((), ("car",), info={"annotated by": "hand"})
    before = write_boxes(tmp_path / "boxes.json", own).read_text()
    status, _, error = attempt("detect.py", *words(single, folder, tmp_path, "--overwrite"))
    assert status == 1 and "not written by bevlab detect" in error
    assert (tmp_path / "boxes.json").read_text() == before


@pytest.mark.parametrize("name", ["results_nusc.json", "drive.mp4"])
def test_results_and_videos_of_others_are_not_overwritten(name, single, folder, tmp_path):
    (tmp_path / name).write_text("kept")
    (tmp_path / "tokens.txt").write_text("")
    more = ["--tokens", tmp_path / "tokens.txt"] if name.endswith("json") else []
    more += ["--poses", folder / "poses.csv", "--overwrite", "--video", tmp_path / "drive.mp4"]
    status, _, error = attempt("detect.py", *words(single, folder, tmp_path), *more)
    assert status == 1 and f"{name} was not written by bevlab detect" in error
    assert (tmp_path / name).read_text() == "kept"


def test_options_are_checked_before_packages(single, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    args = words(single, folder, tmp_path / "out")
    for more, message in (
        (["--video", "drive.avi"], "must end in .mp4"),
        (["--video", "drive.mp4", "--tokens", "tokens.txt"], "--tokens needs the poses"),
        (["--video", "drive.mp4"], "need the package imageio-ffmpeg"),
    ):
        status, _, error = attempt("detect.py", *args, *more)
        assert status == 1 and message in error
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_overwriting_removes_the_earlier_video_and_results(single, folder, frames, tmp_path):
    need("imageio_ffmpeg")
    video, out, tokens = tmp_path / "drive.mp4", tmp_path / "out", tmp_path / "tokens.txt"
    tokens.write_text("".join(f"{frame.token}\n" for frame in frames))
    args = words(single, folder, out, "--no-pictures", "--poses", folder / "poses.csv")
    call("detect.py", *args, "--video", video, "--tokens", tokens)
    assert video.is_file() and (out / "results_nusc.json").is_file()
    call("detect.py", *args, "--overwrite")
    assert not video.exists() and not (out / "results_nusc.json").exists()
    call("detect.py", *args, "--overwrite", "--video", video)
    data = video.read_bytes()
    video.write_bytes(data.replace(b"bevlab detect", b"a holiday 202"))
    call("detect.py", *args, "--overwrite")
    assert video.is_file()
