"""A folder of one's own: equal to the same data in nuScenes' format, and classes of its own."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from commands import SMALL, ablate, call
from folders import small_folder, write_folder
from opened import opened

from bev.config import Experiment, load_config, load_file
from bev.data.adjacent import AdjacentConfig
from bev.data.boxes_file import read_boxes
from bev.data.folder import FolderSource
from bev.data.settings import DataConfig
from bev.errors import DataError
from bev.serialization import from_plain, to_plain

SPLITS = {"train": "synthetic_train", "val": "synthetic_val"}
ADJACENT = AdjacentConfig(previous=1)
TINY = ("--model.backbone.no-pretrained", "--data.batch-size", "2", *SMALL)


@pytest.fixture(scope="module")
def world(synthetic_world):
    """Frames in nuScenes' format by split."""
    data = DataConfig(root=synthetic_world, version="v1.0-synthetic", adjacent=ADJACENT)
    source = opened(data)
    return {name: source.frames(split) for name, split in SPLITS.items()}


@pytest.fixture(scope="module")
def folder(world, synthetic_world, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("folder") / "root"
    return write_folder(root, synthetic_world / "v1.0-synthetic", world)


@pytest.fixture
def copied(folder, tmp_path) -> Path:
    """A copy whose files a test may change."""
    return shutil.copytree(folder, tmp_path / "copy", symlinks=True)


def source_of(root: Path, **settings) -> DataConfig:
    return DataConfig(source=FolderSource(**settings), root=root, adjacent=ADJACENT)


def test_frames_equal_those_of_the_tables(world, folder):
    """The cameras fire at different times, boxes are of the lidar's, and calibrations differ."""
    data = source_of(folder)
    assert data.source.labels.names == world["train"].labels.names
    for split, expected in world.items():
        found = opened(data).frames(split)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert (one.scene, one.timestamp) == (other.scene, other.timestamp)
            assert torch.equal(one.global_from_ego, other.global_from_ego)
            for name in ("center", "size", "yaw", "label"):
                assert torch.equal(getattr(one.boxes, name), getattr(other.boxes, name)), name
            attributes = [  # in the order of the classes that have them
                [(*labels.attributes, "")[place] for place in boxes.attribute.tolist()]
                for labels, boxes in (
                    (data.source.labels, one.boxes), (expected.labels, other.boxes)
                )
            ]  # fmt: skip
            assert attributes[0] == attributes[1]
            assert torch.allclose(
                one.boxes.velocity, other.boxes.velocity, atol=1e-5, equal_nan=True
            )
            cameras = zip(
                [*one.cameras, *one.adjacent[0].cameras],
                [*other.cameras, *other.adjacent[0].cameras],
                strict=True,
            )
            for camera, same in cameras:
                assert camera.name == same.name and camera.size == same.size
                assert camera.path.resolve() == same.path.resolve()
                assert torch.allclose(camera.intrinsics, same.intrinsics, atol=1e-9)
                assert torch.allclose(camera.ego_from_camera, same.ego_from_camera, atol=1e-8)
            pose, same_pose = (f.adjacent[0].ego_from_adjacent for f in (one, other))
            assert torch.allclose(pose, same_pose, atol=1e-8)
            # An object has one number within a scene.
            pairs = set(zip(one.instances.tolist(), other.instances.tolist(), strict=True))
            assert len(pairs) == len(other.instances.unique())


def test_velocities_follow_from_tracks(world, folder, copied):
    """As the devkit's, where a file leaves them out."""
    for path in copied.glob("*/boxes.json"):
        path.write_text(re.sub(r'"velocity": \[[^]]*\]', '"velocity": null', path.read_text()))
    found, expected = opened(source_of(copied)).frames("train"), world["train"]
    moving = 0
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one.boxes.velocity, other.boxes.velocity, atol=2e-3, equal_nan=True)
        moving += int((other.boxes.velocity.norm(dim=1) > 1).sum())
    assert moving > 5


def test_the_worked_velocity_of_a_track(copied):
    """A box 10 m ahead in two frames: it moves with the vehicle. A lone one has no velocity."""
    (name,) = yaml.safe_load((copied / "folder.yaml").read_text())["splits"]["val"]
    path = copied / name / "boxes.json"
    content = json.loads(path.read_text())
    box = {"class": "car", "center": [10, 0, 1], "size": [4, 2, 1.5], "yaw": 0, "track": 7}
    for number, frame in enumerate(content["frames"]):
        frame["boxes"] = [box] if number < 2 else [{**box, "track": 8}] if number == 2 else []
    path.write_text(json.dumps(content))
    first, second, third, fourth = opened(source_of(copied)).frames("val")
    moved = second.global_from_ego[:2, 3] - first.global_from_ego[:2, 3]
    seconds = (second.timestamp - first.timestamp) * 1e-6
    for frame in (first, second):
        assert frame.boxes.velocity.norm() == pytest.approx(moved.norm().item() / seconds, rel=0.02)
    assert third.boxes.velocity.isnan().all() and len(fourth.boxes) == 0
    assert int(third.instances[0]) != int(first.instances[0])


def test_classes_come_from_the_folder_and_stay_in_a_saved_config(folder, copied):
    config = load_config("folder", ["--data.root", str(folder)])
    assert config.model.label_space.names == config.data.source.labels.names
    assert "car" in config.model.label_space.names and len(config.data.camera_names) == 6
    plain = to_plain(config)
    assert from_plain(Experiment, plain) == config
    description = yaml.safe_load((copied / "folder.yaml").read_text())
    description["classes"] = ["car", {"name": "van", "heading": "axis", "color": [1, 2, 3]}]
    (copied / "folder.yaml").write_text(yaml.safe_dump(description))
    other = load_config("folder", ["--data.root", str(copied)])
    assert other.model.label_space.names == ("car", "van")
    assert other.model.label_space.classes[1].color == (1, 2, 3)
    shutil.rmtree(copied)  # a checkpoint is still read
    assert from_plain(Experiment, to_plain(other)).model.label_space.names == ("car", "van")


def test_pseudo_labels_with_a_score_threshold_and_fewer_classes(copied, world):
    """The output of a detector beside the annotations; scores fall from 1 to 0 in each frame."""
    for path in copied.glob("*/boxes.json"):
        content = json.loads(path.read_text())
        for frame in content["frames"]:
            count = max(len(frame["boxes"]) - 1, 1)
            for place, box in enumerate(frame["boxes"]):
                box["score"] = 1 - place / count
        (path.parent / "detected.json").write_text(json.dumps(content))
        path.unlink()
    description = yaml.safe_load((copied / "folder.yaml").read_text())
    ignored = [kind["name"] for kind in description["classes"] if kind["name"] != "car"]
    description |= {"classes": ["car"], "ignore": ignored}
    (copied / "folder.yaml").write_text(yaml.safe_dump(description))
    found = opened(source_of(copied, boxes="detected.json", min_score=0.5)).frames("train")
    for one, other in zip(found, world["train"], strict=True):
        kept = other.boxes[: (len(other.boxes) + 1) // 2]
        cars = kept[kept.label == world["train"].labels.names.index("car")]
        assert torch.equal(one.boxes.center, cars.center) and not one.boxes.label.any()


def test_sequences_are_splits(folder, world):
    names = list(dict.fromkeys(world["train"].scenes))
    source = opened(source_of(folder))
    assert source.frames(names[1]).scenes == [names[1]] * 4
    assert set(source.frames(",".join(names)).scenes) == set(names)
    with pytest.raises(DataError, match=r"has no split 'monday'; its splits are train, val"):
        source.frames("monday")


@pytest.mark.slow
def test_without_boxes_there_are_frames_to_detect_and_draw(copied, tmp_path):
    for path in copied.glob("*/boxes.json"):
        path.unlink()
    frames = opened(source_of(copied)).frames("val")
    assert len(frames) == 4 and not frames.annotated
    call("visualize.py", "folder", "--data.root", copied, "--samples", "1", "--out", tmp_path / "p")
    assert len(list((tmp_path / "p").iterdir())) == 1
    options = ("--data.root", copied, "--train.runs", tmp_path, *SMALL)
    _, error = call("train.py", "folder", *options, code=1)
    assert "has no box to train on" in error and error.count("\n") == 1


def broken(root: Path, name: str) -> None:
    """Break a folder in one way."""
    sequence = root / yaml.safe_load((root / "folder.yaml").read_text())["splits"]["train"][0]
    boxes, camera = sequence / "boxes.json", sequence / "CAM_FRONT"
    text = boxes.read_text()
    description = (root / "folder.yaml").read_text()
    image = sorted(camera.iterdir())[1]
    if name == "missing image":
        image.unlink()
    elif name == "lost file":
        image.unlink()
        image.symlink_to("nowhere.jpg")
    elif name == "cut image":
        data = image.read_bytes()
        image.unlink()
        image.write_bytes(data[: len(data) // 2])
    elif name == "unknown frame":
        boxes.write_text(text.replace('"token": "', '"token": "9', 1))
    elif name == "other sequence":
        boxes.write_text(text.replace(f'"scene": "{sequence.name}"', '"scene": "monday"', 1))
    elif name == "class":
        boxes.write_text(text.replace('"car", "truck"', '"tram", "truck"').replace(
            '"class": "car"', '"class": "tram"'))  # fmt: skip
    elif name == "units":
        boxes.write_text(text.replace('"length": "m"', '"length": "mm"'))
    elif name == "degrees":
        boxes.write_text(re.sub(r'"yaw": [-.0-9e]+', '"yaw": 90.0', text, count=1))
    elif name == "millimetres":
        boxes.write_text(re.sub(r'"size": \[[^]]*\]', '"size": [4500, 1900, 1600]', text))
    elif name == "no boxes":
        boxes.unlink()
    elif name == "other size":
        rig = (sequence / "rig.yaml").read_text()
        (sequence / "rig.yaml").write_text(re.sub(r"width: \d+", "width: 640", rig, count=1))
    elif name == "centre":
        rig = (sequence / "rig.yaml").read_text()
        (sequence / "rig.yaml").write_text(
            re.sub(r"(intrinsics:\n  - \[[^,]*, [^,]*, )[^]]*", r"\g<1>4000.0", rig, count=1)
        )
    elif name == "unknown sequence":
        (root / "folder.yaml").write_text(description.replace("train:\n", "train:\n  - monday\n"))
    elif name == "clock":
        boxes.write_text(re.sub(r'"timestamp": (\d+)', r'"timestamp": 9\1', text, count=1))


FOUND = {
    "missing image": ("has no camera CAM_FRONT", 1),
    "lost file": ("has no camera CAM_FRONT", 1),
    "cut image": ("truncated", 1),
    "unknown frame": ("has no images in", 1),
    "other sequence": ("is of the sequence 'monday'", 1),
    "class": ("has a box of class 'tram', which folder.yaml does not list", 1),
    "units": ("its 'units' are", 1),
    "degrees": ("has a box with yaw 90, as if in degrees", 1),
    "millimetres": ("4.5e+03 x 1.9e+03 x 1.6e+03 m (median)", 0),
    "no boxes": ("has no boxes.json, but others have", 1),
    "other size": ("its calibration is for 640x", 1),
    "centre": ("principal point outside the image", 0),
    "unknown sequence": ("train: 1 (monday)", 0),
    "clock": ("correct one of the two", 1),
}
FAST = {"missing image", "unknown frame", "millimetres"}  # a fault of each stage of reading


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in FOUND]
)
def test_a_check_finds(name, copied):
    message, code = FOUND[name]
    broken(copied, name)
    out, _ = call("check_data.py", "folder", "--data.root", copied, "--decode", code=code)
    assert message in out


@pytest.mark.slow
def test_a_check_lists_all_faults_of_frames(copied):
    for path in sorted(copied.glob("*/boxes.json")):
        path.write_text(path.read_text().replace('"token": "', '"token": "9'))
    out, _ = call("check_data.py", copied, "--all", code=1)
    assert out.count("has no images in") == 12


def test_two_images_of_one_moment_are_found(tmp_path):
    root = small_folder(tmp_path / "root")
    (root / "rig.yaml").write_text((root / "rig.yaml").read_text().replace("*.png", "*"))
    folder = root / "monday" / "rear"
    shutil.copy(folder / "0001.png", folder / "0001.jpg")
    out, _ = call("check_data.py", root, code=1)
    assert "Camera rear has two images of moment 0001" in out and "1 error" in out


def test_an_unknown_split_is_among_the_findings(folder):
    out, _ = call("check_data.py", folder, "--data.val-split", "monday", code=1)
    assert "val: FolderSource" not in out and "has no split 'monday'" in out


def test_a_check_of_a_sound_folder(folder):
    out, _ = call("check_data.py", folder, "--decode")
    assert "FolderSource in" in out and "error" not in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "give keys with values"),
        ("classes: []", "list at least one class"),
        ("classes: [a, a]", "occurs twice"),
        ("classes: [{name: a, heading: round}]", "heading should be one of"),
        ("classes: [{name: a, colour: [1, 2, 3]}]", "did you mean color"),
        ("classes: [{name: a, nms_radius: -1}]", "nms_radius"),
        ("classes: [a]\nignore: [a]", "is listed and ignored"),
        ("classes: [a]\nsplits: [a]", "give a list of sequences for each split"),
        ("classes: [a]\nsplits: {train: []}", "is empty"),
        ("classes: [a]\nsplits: {train: [../b]}", "leads outside"),
        ("classes: [a]\ninterval: 0", "give 0.001 to 60 seconds"),
        ("classes: [a]\nsplit: {}", "did you mean splits"),
        ("classes: [a", "cannot be read"),
    ],
)
def test_a_description_that_cannot_be_right(text, message, tmp_path):
    (tmp_path / "folder.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        source_of(tmp_path)


OWN = {"car": "forklift", "pedestrian": "worker"}


def renamed(root: Path) -> Path:
    """Give two classes of a folder names of its own."""
    path = root / "folder.yaml"
    description = yaml.safe_load(path.read_text())
    for place, one in enumerate(description["classes"]):
        if isinstance(one, dict):
            one["name"] = OWN.get(one["name"], one["name"])
        else:
            description["classes"][place] = OWN.get(one, one)
    path.write_text(yaml.safe_dump(description))
    for boxes in root.glob("*/boxes.json"):
        text = boxes.read_text()
        for name, own in OWN.items():
            text = text.replace(f'"{name}"', f'"{own}"')
        boxes.write_text(text)
    return root


@pytest.mark.long
def test_training_evaluation_pictures_and_a_study(copied, tmp_path, monkeypatch):
    """The whole path from the command line to metrics, with classes of its own."""
    monkeypatch.chdir(tmp_path)
    folder = renamed(copied)
    options = ("--data.root", folder, "--train.runs", tmp_path / "runs", *TINY)
    out, _ = call("train.py", "folder", *options, "--train.run-name", "a", "--train.max-steps", "2")
    run = tmp_path / "runs" / "folder" / "a"
    assert "val after 2 steps" in out
    best = run / "checkpoints" / "best.ckpt"
    out, _ = call("evaluate.py", best, "--out", tmp_path / "e")
    summary = json.loads((tmp_path / "e" / "metrics_summary.json").read_text())
    names = set(load_file("folder").data.source.at(folder).labels.names)
    assert "mAP" in out and set(summary["mean_dist_aps"]) == names > {"forklift", "worker"}
    call("visualize.py", best, tmp_path / "e" / "results.json", "--samples", "1", "--out", "p")
    assert len(list((tmp_path / "p").iterdir())) == 1
    arguments = ["folder", "--data.root", folder, *TINY, "--train.max-steps", "1"]
    vary = "data.source.min_score=0.0,1.0"  # annotations have score 1
    table = ablate([*arguments, "--train.pictures", "0"], vary, tmp_path / "study",
                   "--resample", "scenes")  # fmt: skip
    assert table.count("| 1/1 |") == 2 and "Δ mAP" in table and "NDS" not in table


@pytest.mark.long
def test_the_output_of_detect_is_ground_truth(copied, tmp_path):
    """Pseudo-labels of a model that was trained on the annotations."""
    options = ("--data.root", copied, "--train.runs", tmp_path / "runs", *TINY)
    steps = ("--train.max-steps", "1", "--train.pictures", "0")
    call("train.py", "folder", *options, *steps, "--train.run-name", "a")
    best = tmp_path / "runs" / "folder" / "a" / "checkpoints" / "best.ckpt"
    splits = yaml.safe_load((copied / "folder.yaml").read_text())["splits"]
    for name in sum(splits.values(), []):
        sequence = copied / name
        place = ["--rig", sequence / "rig.yaml", "--images", sequence, "--out", sequence / "found"]
        options_of_detect = ("--poses", sequence / "poses.csv", "--score", "0", "--no-pictures")
        call("detect.py", best, *place, *options_of_detect)
    scores = [f.boxes.score for p in copied.glob("*/found/*.json") for f in read_boxes(p).frames]
    middle = float(torch.cat(scores).median())
    boxes = ("--data.source.boxes", "found/boxes.json", "--data.source.min-score", str(middle))
    found = opened(load_config("folder", [*map(str, options[:2]), *boxes]).data).frames("train")
    every = opened(source_of(copied, boxes="found/boxes.json")).frames("train")
    assert len(found) == len(every) == 8
    assert 0 < sum(len(f.boxes) for f in found) < sum(len(f.boxes) for f in every)
    check = ("--data.root", copied, *boxes, "--no-images")
    out, _ = call("check_data.py", "folder", *check)
    assert f"train: 2 scenes, 8 samples, {sum(len(f.boxes) for f in found)} boxes" in out


def test_settings_of_a_folder_that_does_not_exist_are_made(tmp_path):
    config = load_config("folder", ["--data.root", str(tmp_path / "none")])
    with pytest.raises(DataError, match=r"folder\.yaml cannot be read \(No such file"):
        opened(config.data).frames("train")
    assert replace(config.data, root=Path("a")).source.labels.names == ("object",)
