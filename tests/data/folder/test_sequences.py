"""Tables and doubtful images of sequences, and sequences that no run uses."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from folders import small_folder
from opened import opened

from bev.data.checks.check import FileCheckConfig
from bev.data.checks.source import check_config_data
from bev.data.folder import FolderSource
from bev.data.settings import DataConfig
from bev.errors import DataError

TURN = {"qw": 1, "qx": 0, "qy": 0, "qz": 0}
POSES = [{"moment": f"000{n}", "x": 3.0 * n, "y": 0, "z": 0, **TURN} for n in (0, 1)]
TIMES = [{"moment": f"000{n}", "seconds": 4 + n} for n in (0, 1)]


@pytest.fixture
def root(tmp_path) -> Path:
    return small_folder(tmp_path / "root")


def data_of(root: Path, **settings) -> DataConfig:
    return DataConfig(source=FolderSource(), root=root, **settings)


def checked(data: DataConfig) -> list[str]:
    _, findings = check_config_data(data, FileCheckConfig(images=False))
    return list(findings.lines(0))


def copied(sequence: Path, other: Path) -> None:
    """Copy a sequence under another name."""
    shutil.copytree(sequence, other)
    path = other / "boxes.json"
    path.write_text(path.read_text().replace(f'"{sequence.name}"', f'"{other.name}"'))


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_tables_of_a_sequence_are_json_or_csv(suffix, root):
    """A box 1 m further ahead a second later, in a vehicle that drives 3 m: 4 m/s."""
    for name, rows in (("poses", POSES), ("times", TIMES)):
        lines = [",".join(map(str, row)) for row in (rows[0], *(row.values() for row in rows))]
        text = json.dumps(rows) if suffix == "json" else "\n".join(lines)
        (root / "monday" / f"{name}.{suffix}").write_text(text)
    frames = opened(data_of(root)).frames("monday")
    assert [frame.timestamp for frame in frames] == [4_000_000, 5_000_000]
    assert [frame.global_from_ego[0, 3].item() for frame in frames] == [0, 3]
    torch.testing.assert_close(frames[0].boxes.velocity[0], torch.tensor([4.0, 0.0]))


def test_frames_have_times_in_the_file_of_boxes_all_or_none(root):
    path = root / "monday" / "boxes.json"
    content = json.loads(path.read_text())
    for number, frame in enumerate(content["frames"]):
        frame["timestamp"] = 7_000_000 + 500_000 * number
    path.write_text(json.dumps(content))
    frames = opened(data_of(root)).frames("monday")
    assert [frame.timestamp for frame in frames] == [7_000_000, 7_500_000]
    content["frames"][1].pop("timestamp")
    path.write_text(json.dumps(content))
    name = content["frames"][1]["token"]
    with pytest.raises(DataError, match=f"frame '{name}' has no timestamp, but others have"):
        opened(data_of(root)).frames("monday")


@pytest.mark.parametrize("kind", ["poses", "times"])
def test_two_tables_of_one_kind_are_an_error(kind, root):
    rows = {"poses": POSES, "times": TIMES}[kind]
    for suffix in ("json", "csv"):
        (root / "monday" / f"{kind}.{suffix}").write_text(json.dumps(rows))
    message = f"Sequence monday has {kind}.csv and {kind}.json; remove one of them"
    with pytest.raises(DataError, match=message):
        opened(data_of(root)).frames("monday")
    assert any(message in line for line in checked(data_of(root)))


def test_a_sequence_with_boxes_in_no_split_is_named(root):
    assert checked(data_of(root)) == ["nothing wrong"]
    for name in ("sunday", "saturday"):
        copied(root / "monday", root / name)
    (root / "saturday" / "boxes.json").unlink()
    lines = checked(data_of(root))
    assert lines[:2] == ["warning: sequence with boxes that is in no split: 1", "    sunday"]
    assert lines[-1] == "1 warning"
    assert "    sunday" in checked(data_of(root, fold="0/2"))
    assert checked(data_of(root, train_split="tuesday,sunday")) == ["nothing wrong"]
    description = yaml.safe_load((root / "folder.yaml").read_text())
    description["splits"]["test"] = ["sunday"]
    (root / "folder.yaml").write_text(yaml.safe_dump(description))
    assert checked(data_of(root)) == ["nothing wrong"]


def test_sequences_in_folders_are_found_where_splits_name_such(root):
    copied(root / "monday", root / "may" / "sunday")
    for name in ("monday", "tuesday", "wednesday"):
        (root / name).rename(root / "may" / name)
    splits = {"train": ["may/monday", "may/tuesday"], "val": ["may/wednesday"]}
    description = yaml.safe_load((root / "folder.yaml").read_text()) | {"splits": splits}
    (root / "folder.yaml").write_text(yaml.safe_dump(description))
    lines = checked(data_of(root))
    assert "    may/sunday" in lines and lines[-1] == "1 warning"


@pytest.mark.parametrize("fold", ["", "0/2"])
def test_an_image_that_no_moment_uses_is_named(fold, root):
    """Moments by time: 0 and 500 ms, and a second image of the rear camera at 40 ms."""
    path = root / "rig.yaml"
    path.write_text(path.read_text().replace("*.png", "{milliseconds}.png"))
    for sequence in ("monday", "tuesday", "wednesday"):
        for camera in ("front", "rear"):
            (root / sequence / camera / "0001.png").rename(root / sequence / camera / "0500.png")
        boxes = root / sequence / "boxes.json"
        text = boxes.read_text().replace('"0000"', '"0"')
        boxes.write_text(text.replace('"0001"', '"500000"'))
    assert checked(data_of(root, fold=fold)) == ["nothing wrong"]
    shutil.copy(root / "monday" / "rear" / "0000.png", root / "monday" / "rear" / "0040.png")
    lines = checked(data_of(root, fold=fold))
    assert "    rear: monday/rear/0040.png" in lines and lines[-1] == "1 warning"


def test_a_file_of_boxes_without_frames_is_named(root):
    path = root / "monday" / "boxes.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"frames": []}))
    with pytest.raises(DataError, match=r"monday/boxes.json has no frames; list moments"):
        opened(data_of(root)).frames("monday")


def test_a_linked_sequence_takes_boxes_that_name_either_folder(root):
    expected = len(opened(data_of(root)).frames("monday"))
    path = root / "monday" / "boxes.json"
    (root / "monday").rename(root / ".drive_001")
    (root / "monday").symlink_to(".drive_001")
    for name in ("monday", ".drive_001"):
        path.write_text(path.read_text().replace('"monday"', f'"{name}"'))
        assert len(opened(data_of(root)).frames("monday")) == expected == 2


def test_a_corrected_calibration_file_is_read_again(root):
    rig = yaml.safe_load((root / "rig.yaml").read_text())
    rig["cameras"][0].pop("intrinsics")
    rig["cameras"][0]["camera_info"] = "front.yaml"
    (root / "rig.yaml").write_text(yaml.safe_dump(rig))
    for focal in (91.0, 55.25):
        matrix = {"rows": 3, "cols": 3, "data": [focal, 0, 96, 0, focal, 60, 0, 0, 1]}
        info = {"image_width": 192, "image_height": 120, "camera_matrix": matrix}
        (root / "front.yaml").write_text(yaml.safe_dump(info))
        frame = opened(data_of(root)).frames("monday")[0]
        assert frame.cameras[0].intrinsics[0, 0] == focal
