"""File names in tables lead to files below the data root, whatever the data source."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import ROOT, call
from opened import opened
from own_data import CAMERAS, VERSION, write_own_data
from warehouse import write_warehouse

from bev.config import load_file
from bev.data.checks.check import CheckConfig, check_data
from bev.data.dataset import KeyFrames
from bev.data.nuscenes.maps import MapLayers
from bev.data.nuscenes.sensor_data import file_of
from bev.data.settings import DataConfig
from bev.errors import DataError

AWAY = ["../secret.jpg", "samples/../../secret.jpg", "/etc/passwd", "a\0b.jpg", "", "a" * 600]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return write_own_data(tmp_path_factory.mktemp("own") / "root")


@pytest.fixture
def root(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "root")


def edit(root: Path, table: str, row: int = -1, **fields: object) -> None:
    path = root / VERSION / f"{table}.json"
    rows = json.loads(path.read_text()) if path.is_file() else [{}]
    rows[row].update(fields)
    path.write_text(json.dumps(rows))


def config(root: Path) -> DataConfig:
    return DataConfig(
        root=root, version=VERSION, cameras=tuple(CAMERAS), train_split="mine_train", workers=0
    )


@pytest.mark.parametrize("name", AWAY)
def test_a_table_that_names_a_file_elsewhere_is_refused(root, name):
    edit(root, "sample_data", filename=name)
    with pytest.raises(DataError, match=r"sample_data.json, row scene-b-1-CAM_RIGHT: filename is"):
        opened(config(root))
    _, findings = check_data(root, VERSION, CheckConfig())
    assert findings.count(is_error=True) and "filename is" in "\n".join(findings.lines(0))


def test_a_name_with_dots_that_stays_inside_is_read(root, made):
    name = "samples/../samples/CAM_RIGHT/scene-b-1.jpg"
    edit(root, "sample_data", filename=name)
    samples = []
    for place in (root, made):
        data = config(place)
        samples.append(KeyFrames(opened(data).frames("mine_val"), data, training=False))
    assert root / name in [camera.path for camera in samples[0].frames[1].cameras]
    assert torch.equal(*(frames[1].views.images for frames in samples))


def test_an_index_that_was_not_built_from_the_tables_leads_nowhere(root):
    """Whoever may write to a shared cache could have put it there."""
    index = opened(config(root)).index
    index.sample_data.filename = np.array([b"../../secret.jpg"] * len(index.sample_data.filename))
    with pytest.raises(DataError, match=r"names the file '../../secret.jpg', which leads outside"):
        file_of(index, 0)


@pytest.mark.parametrize("location", ["../../secret", "/etc/x", "a/b", ".."])
def test_a_location_is_the_name_of_a_map(root, location):
    edit(root, "log", token="log", location=location)
    edit(root, "scene", log_token="log")
    maps = MapLayers(root, VERSION, ("drivable_area",), 1.0, 50.0)
    with pytest.raises(DataError, match=r"scene-b.*is not the name of a map"):
        maps.read(["scene-b"])


@pytest.mark.parametrize("version", ["../elsewhere", "/etc"])
def test_a_version_is_a_folder_of_the_data_root(root, version):
    (root.parent / "elsewhere").mkdir()
    with pytest.raises(DataError, match=r"has no version .* leads outside"):
        opened(replace(config(root), version=version))


def test_the_files_of_every_source_lie_below_the_data_root(tmp_path):
    root = write_warehouse(tmp_path / "root")
    data = replace(load_file(ROOT / "docs" / "examples" / "warehouse.py").data, root=root)
    table = root / "val" / "aisle-4.json"
    scene = json.loads(table.read_text())
    assert opened(data).frames("val")
    for name in ("../../secret.jpg", "/etc/passwd"):
        scene["frames"][1]["images"]["left"] = name
        table.write_text(json.dumps(scene))
        with pytest.raises(DataError, match=r"Frame 'aisle-4-001' names the file .* not below"):
            opened(data).frames("val")


def test_a_split_whose_name_is_a_path_leads_nowhere_else(root, tmp_path, monkeypatch):
    (root / VERSION / "splits.json").write_text(json.dumps({"../../x": ["scene-b"]}))
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    call(
        "visualize.py", ROOT / "configs" / "lss_r50_mini.py", "--data.root", root,
        "--data.version", VERSION, "--data.cameras", *CAMERAS, "--split", "../../x",
        "--samples", "1",
    )  # fmt: skip
    (picture,) = tmp_path.rglob("0000_*.png")
    assert picture.parents[1] == folder / "pictures" and ".." not in picture.parent.name


def test_a_picture_of_a_sample_is_in_its_folder_whatever_the_token(root, tmp_path):
    """A token with dots and slashes wrote a PNG beside the folder."""
    for path in (root / VERSION).glob("*.json"):
        text = path.read_text().replace('"scene-b-0"', '"../../../escaped"')
        path.write_text(text.replace('"scene-b-1"', '"/etc/\\u0001x"'))
    before = sorted(tmp_path.glob("*"))
    call(
        "visualize.py", ROOT / "configs" / "lss_r50_mini.py", "--data.root", root,
        "--data.version", VERSION, "--data.cameras", *CAMERAS, "--split", "mine_val",
        "--out", tmp_path / "a" / "b" / "c",
    )  # fmt: skip
    assert len(list((tmp_path / "a" / "b" / "c").glob("*.png"))) == 2
    assert sorted(tmp_path.glob("*")) == sorted([*before, tmp_path / "a"])
    assert [path.name for path in (tmp_path / "a").rglob("*") if path.is_dir()] == ["b", "c"]
