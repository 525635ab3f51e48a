"""Detection on images and calibrations alone: the boxes are those of the data set's path."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import cv2
import isolated
import numpy as np
import pytest
import torch
from commands import ROOT
from exported import exported
from rig_folder import rig_of

from bev import load_detector
from bev.data.batch import collate
from bev.data.boxes_file import read_boxes
from bev.data.dataset import KeyFrames
from bev.data.rig import RigCamera, save_rig
from bev.errors import CheckpointError, ConfigError, DataError
from bev.inference.inputs import number_of


@pytest.fixture(scope="module")
def detector(single):
    return load_detector(single, "cpu")


@pytest.fixture(scope="module")
def frames(detector):
    data = detector.config.data
    return list(data.source.open(data).frames("synthetic_val"))


@pytest.fixture(scope="module")
def by_tables(detector, frames):
    """Boxes by the data set's path."""
    data = detector.config.data
    samples = KeyFrames(frames, data, training=False)
    return [detector.model.detect(collate([samples[i]]))[0] for i in range(len(frames))]


def paths(frame):
    return [camera.path for camera in frame.cameras]


def same(found, boxes):
    """Whether detections are exactly these boxes."""
    names = ("center", "size", "yaw", "velocity", "label", "score")
    return all(torch.equal(getattr(found.boxes, name), getattr(boxes, name)) for name in names)


def test_boxes_of_files_are_those_of_the_tables(detector, frames, by_tables):
    for frame, boxes in zip(frames, by_tables, strict=True):
        assert len(boxes) > 10
        found = detector(paths(frame), frame.cameras, score=0)
        assert same(found, boxes)
        assert same(detector(paths(frame), frame.cameras), boxes[boxes.score >= 0.3])


def test_images_in_memory_and_dictionaries_are_equal(detector, frames):
    frame = frames[0]
    bgr = {camera.name: cv2.imread(str(camera.path)) for camera in frame.cameras}
    rgb = [image[..., ::-1] for image in bgr.values()]
    found = detector(rgb, frame.cameras, score=0)
    shuffled = dict(reversed(bgr.items()))
    assert same(detector(shuffled, frame.cameras, score=0, channels="bgr"), found.boxes)
    assert same(detector([i / 255 for i in rgb], frame.cameras, score=0), found.boxes)
    assert same(detector(np.stack(rgb), frame.cameras, score=0), found.boxes)
    deep = [i.astype(np.uint16) * 257 for i in rgb]
    assert same(detector(deep, frame.cameras, score=0, white=65535), found.boxes)
    # A JPEG is decoded at half its size: other rounding than the mean of the pixels.
    by_files = detector(paths(frame), frame.cameras, score=0)
    assert by_files.scores[:5] == pytest.approx(found.scores[:5], abs=0.02)


def test_a_batch_is_its_frames(detector, frames):
    images, own = [paths(frame) for frame in frames], [frame.cameras for frame in frames]
    for cameras, each in ((own, own), (own[0], own[:1] * len(frames))):
        batch = detector(images, cameras, score=0)
        for found, image, rig in zip(batch, images, each, strict=True):
            alone = detector(image, rig, score=0)
            assert len(found) > 10 and found.scores == pytest.approx(alone.scores, abs=1e-5)


class Named(NamedTuple):
    name: str
    intrinsics: torch.Tensor
    ego_from_camera: torch.Tensor


def test_a_camera_needs_no_more_than_names_and_matrices(detector, frames, by_tables):
    class Camera:
        def __init__(self, camera):
            self.name, self.intrinsics = f"my {camera.name}", camera.intrinsics.numpy()
            self.ego_from_camera = camera.ego_from_camera.tolist()

    rig = [Camera(camera) for camera in frames[0].cameras]
    assert same(detector(paths(frames[0]), rig, score=0), by_tables[0])
    named = [Named(c.name, c.intrinsics, c.ego_from_camera) for c in frames[0].cameras]
    (found,) = detector([paths(frames[0])], named, score=0)
    assert same(found, by_tables[0])
    assert len(detector(paths(frames[0])[:2], rig[:2], score=0)) > 0


def test_the_path_of_a_rig_file_is_a_calibration(detector, frames, tmp_path):
    images, own = paths(frames[0]), frames[0].cameras
    path = save_rig(rig_of(frames[0]), tmp_path / "rig.yaml")
    expected = detector(images, own, score=0)
    for rig in path, str(path):
        assert same(detector(images, rig, score=0), expected.boxes)
    for rigs in path, [path, str(path)], iter([own, own]):
        found = detector([images] * 2, rigs, score=0)
        assert [one.scores == pytest.approx(expected.scores, abs=1e-5) for one in found] == [1, 1]


def test_threads_share_a_detector(detector, frames, by_tables):
    with ThreadPoolExecutor(2) as pool:
        jobs = [(frame, boxes) for frame, boxes in zip(frames, by_tables, strict=True)] * 2
        found = pool.map(lambda job: detector(paths(job[0]), job[0].cameras, score=0), jobs)
        assert all(same(one, boxes) for one, (_, boxes) in zip(found, jobs, strict=True))


def test_nothing_is_written(single, frames, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEV_CACHE", str(tmp_path / "cache"))
    load_detector(single, "cpu")(paths(frames[0]), frames[0].cameras)
    assert list(tmp_path.iterdir()) == []


def test_detections_are_plain_numbers(detector, frames, by_tables, tmp_path):
    found, boxes = detector(paths(frames[0]), frames[0].cameras, score=0), by_tables[0]
    first = next(iter(found))
    names = detector.labels.names
    assert first.name == found.classes[0] == names[int(boxes.label[0])]
    assert first.center == tuple(boxes.center[0].tolist()) and first.score == found.scores[0]
    assert [box.score for box in found] == sorted(found.scores, reverse=True)
    best = found.above(first.score)
    assert {box.score for box in best} == {first.score}
    assert set(found.of(first.name).classes) == {first.name}
    assert f"{len(found)} boxes" in repr(found) and first.name in repr(found)
    with pytest.raises(ConfigError, match="'tram' is unknown"):
        found.of("tram")
    (tmp_path / "boxes.json").write_text(found.to_json())
    read = read_boxes(tmp_path / "boxes.json")
    assert read.classes == names and torch.equal(read.frames[0].boxes.center, found.boxes.center)


def test_faults_name_the_camera(detector, frames, tmp_path):
    frame, images = frames[0], paths(frames[0])
    front = frame.cameras[0].name
    small = np.zeros((10, 20, 3), np.uint8)

    def fails(words, images, cameras=frame.cameras, kind=DataError, **settings):
        with pytest.raises(kind, match=words) as caught:
            detector(images, cameras, **settings)
        assert "\n" not in str(caught.value)

    fails("pass one for each camera", images[0])
    fails("is empty", [])
    fails(f"{len(images) - 1} images for {len(images)} cameras", images[1:])
    fails(f"no image of camera '{front}'", {"other": images[0]})
    named = {camera.name: path for camera, path in zip(frame.cameras, images, strict=True)}
    fails("image of 'other', of which there is no calibration", named | {"other": images[0]})
    fails(f"{front}.* is 20x10.*calibration is for", [small, *images[1:]])
    fails(f"{front}.*uint16", [small.astype(np.uint16), *images[1:]])
    fails(f"Camera {front}: .*absent.jpg cannot be read", [tmp_path / "absent.jpg", *images[1:]])
    (tmp_path / "cut.jpg").write_bytes(images[0].read_bytes()[:2000])
    fails(f"Camera {front}: .*cut.jpg is truncated", [tmp_path / "cut.jpg", *images[1:]])
    mapping = {camera.name: camera for camera in frame.cameras}
    fails("a str, which has no name; pass a Rig", images, mapping)
    fails("a tuple, which has no name; pass a Rig", images, [frame.cameras] * len(images))
    fails("two cameras|Two cameras", images, [frame.cameras[0]] * len(images))
    fails("cameras is empty", images, [])
    bad = replace(frame.cameras[0], intrinsics=torch.full((3, 3), torch.nan))
    fails(f"{front} has no intrinsics", images, [bad, *frame.cameras[1:]])
    fails("2 frames and 3 rigs", [images] * 2, [frame.cameras] * 3, ConfigError)
    fails("a str, which has no name; pass a Rig", [images] * 2, mapping)
    fails("cameras is None; pass a Rig, the path of a rig file", images, None)
    fails("cameras is 5; pass a Rig", [images] * 2, 5)
    fails("Rig .*absent.yaml cannot be read", images, tmp_path / "absent.yaml")
    white = [np.zeros((*frame.cameras[0].size, 3), np.uint8)] * len(images)
    fails(f"{front}.*channels='RGB'; pass 'rgb' or 'bgr'", white, channels="RGB")
    fails(f"{front}.*white=-1; pass the number", white, white=-1)


SCALE = torch.diag(torch.tensor([2.0, 2, 2, 1], dtype=torch.float64))
SHIFT = torch.zeros(4, 4, dtype=torch.float64)
SHIFT[0, 3] = 1


@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        ("ego_from_camera", lambda pose: pose.T, "ego_from_camera has the last row"),
        ("ego_from_camera", lambda pose: pose @ SCALE, "ego_from_camera has a rotation that"),
        ("ego_from_camera", lambda pose: pose + 1700 * SHIFT,
         ".*give translations in metres"),
        ("intrinsics", lambda matrix: matrix.T, r"intrinsics is .*give \[fx, 0, cx\]"),
        ("intrinsics", lambda matrix: matrix * torch.tensor([1, 1, torch.nan]), "(has no )?intr"),
        ("intrinsics", torch.zeros_like, r"intrinsics is .*give \[fx, 0, cx\]"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["frame", "rig", "plain"])
def test_a_calibration_of_another_convention_is_refused(detector, frames, name, fault, words, kind):
    """A matrix for row vectors, with a scale, in millimetres: boxes would be wrong silently."""
    first, *others = frames[0].cameras
    changed = {"intrinsics": first.intrinsics, "ego_from_camera": first.ego_from_camera}
    changed[name] = fault(changed[name])
    with pytest.raises(DataError, match=f"Camera {first.name}:? {words}"):
        camera = {
            "frame": lambda: replace(first, **changed),
            "rig": lambda: RigCamera(first.name, **changed),
            "plain": lambda: SimpleNamespace(name=first.name, **changed),
        }[kind]()
        detector(paths(frames[0]), [camera, *others])


def test_images_of_any_collection_are_taken_and_odd_arguments_are_named(detector, frames):
    images, cameras = paths(frames[0]), frames[0].cameras
    expected = detector(images, cameras, score=0)
    named = {camera.name: path for camera, path in zip(cameras, images, strict=True)}
    strings = np.array([str(path) for path in images])
    for several in (named.values(), iter(images), strings, strings.astype(object)):
        assert same(detector(several, cameras, score=0), expected.boxes)
    for score in (float("nan"), 3):
        with pytest.raises(DataError, match="score is .*; pass a number from 0 to 1"):
            detector(images, cameras, score=score)
    for number in ("0.3", None, [1, 2], b"1", 10**400):
        with pytest.raises(DataError, match="score is .*; pass a number from 0 to 1"):
            number_of(number, "score", 0, 1)
    assert [number_of(one, "score", 0, 1) for one in (torch.tensor(0.5), np.ones(()))] == [0.5, 1]
    for encoded in (images[0].read_bytes(), io.BytesIO(images[0].read_bytes())):
        words = f"{cameras[0].name}.* is the bytes of a file; decode it"
        with pytest.raises(DataError, match=words):
            detector([encoded, *images[1:]], cameras)
    with pytest.raises(DataError, match="images is a set, which has no order"):
        detector(set(images), cameras)
    keys = ("name", "intrinsics", "ego_from_camera")
    flat = SimpleNamespace(**{key: getattr(cameras[0], key) for key in keys})
    flat.ego_from_camera = flat.ego_from_camera[:3]
    with pytest.raises(DataError, match=f"{flat.name} has no ego_from_camera of 4x4 finite"):
        detector(images, [flat, *cameras[1:]])
    for size in (900, (float("inf"), 3)):
        odd = SimpleNamespace(**{key: getattr(cameras[0], key) for key in keys}, size=size)
        with pytest.raises(DataError, match=f"Camera {cameras[0].name} has the size .*; give"):
            detector(images, [odd, *cameras[1:]])
    odd.size = (*cameras[0].size, 3)  # the shape of an array
    assert same(detector(images, [odd, *cameras[1:]], score=0), expected.boxes)


def test_each_file_is_read_once(detector, frames, monkeypatch):
    """Also if the calibrations leave the size of the images open."""
    frame, opened, open_path = frames[0], [], Path.open

    def counting(path, *words, **settings):
        opened.append(path)
        return open_path(path, *words, **settings)

    monkeypatch.setattr(Path, "open", counting)
    keys = ("name", "intrinsics", "ego_from_camera")
    sizeless = [SimpleNamespace(**{key: getattr(c, key) for key in keys}) for c in frame.cameras]
    found = [detector(paths(frame), cameras, score=0) for cameras in (frame.cameras, sizeless)]
    assert sorted(opened) == sorted(2 * paths(frame))
    assert torch.equal(found[0].boxes.center, found[1].boxes.center)


def test_models_without_boxes_are_refused(synthetic_world, tmp_path):
    path = exported("lss_seg_synthetic", synthetic_world, tmp_path)
    with pytest.raises(ConfigError, match="predicts no boxes"):
        load_detector(path)
    with pytest.raises(CheckpointError, match="does not exist"):
        load_detector(tmp_path / "absent.ckpt")


def test_a_device_that_is_none_is_named(single):
    with pytest.raises(ConfigError, match="Device gpu cannot be used .*such as cpu"):
        load_detector(single, "gpu")


@pytest.mark.slow
def test_loading_a_detector_imports_no_more_than_it_needs(single):
    code = (
        "import json, sys, bev\n"
        "assert 'torch' not in sys.modules\n"
        f"bev.load_detector({str(single)!r}, 'cpu')\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = set(json.loads(isolated.run(["-c", code], PYTHONPATH=str(ROOT))))
    heavy = {"lightning", "matplotlib", "nuscenes", "sklearn", "pandas"}
    assert {name for name in loaded if name.split(".")[0] in heavy} == set()
    assert {n for n in loaded if n.startswith(("bev.lab", "bev.cli", "bev.visualization"))} == set()
