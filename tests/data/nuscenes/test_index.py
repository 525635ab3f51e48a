"""Frames of the index equal the devkit's bit by bit, on real, synthetic and disturbed tables."""

import json
import pickle
import shutil
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from devkit_reader import devkit_frame, devkit_samples
from hypothesis import given, settings
from hypothesis import strategies as st
from nuscenes import NuScenes
from opened import opened

from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index import NO_ROW
from bev.data.nuscenes.index_cache import open_index
from bev.data.nuscenes.sensor_data import CAMERAS
from bev.data.nuscenes.splits import split_rows
from bev.data.settings import DataConfig
from bev.errors import DataError
from bev.lab.benchmark.synthetic_tables import VERSION, write_tables


def same(ours, theirs) -> None:
    """Assert equality bit by bit, with NaN equal to NaN."""
    assert type(ours) is type(theirs)
    if isinstance(ours, torch.Tensor):
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
    elif is_dataclass(ours):
        for field in fields(ours):
            same(getattr(ours, field.name), getattr(theirs, field.name))
    elif isinstance(ours, tuple):
        assert len(ours) == len(theirs)
        for pair in zip(ours, theirs, strict=True):
            same(*pair)
    else:
        assert ours == theirs


def compare(root: Path, version: str, split: str, cameras=CAMERAS) -> int:
    """Compare every frame of a split and return the number of boxes."""
    nusc = NuScenes(version, str(root), verbose=False)
    ours = read_frames(open_index(root, version), split, cameras)
    samples = devkit_samples(nusc, split)
    assert len(ours) == len(samples)
    for frame, sample in zip(ours, samples, strict=True):
        same(frame, devkit_frame(nusc, sample, cameras))
    return sum(len(frame.boxes) for frame in ours)


@pytest.mark.parametrize(
    ("version", "split", "boxes"),
    [
        ("v1.0-mini", "mini_train", 68),
        ("v1.0-mini", "mini_val", 53),
        ("v1.0-valgt-mini", "mini_val", 4441),
    ],
)
def test_real_frames_equal_the_devkits(nuscenes_root, version, split, boxes):
    assert compare(nuscenes_root, version, split) == boxes


@pytest.mark.parametrize("split", ["synthetic_train", "synthetic_val"])  # from splits.json
def test_frames_of_the_synthetic_world_equal_the_devkits(synthetic_world, split):
    assert compare(synthetic_world, "v1.0-synthetic", split) > 20


def edit(root: Path, table: str, change) -> None:
    """Rewrite a table by a function of its rows."""
    path = root / VERSION / f"{table}.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


@pytest.fixture(scope="module")
def plain_tables(tmp_path_factory) -> Path:
    """Two scenes of four key frames, with one sweep between them."""
    root = tmp_path_factory.mktemp("plain") / "root"
    return write_tables(root, scenes=2, frames=4, boxes=8, sweeps=1)


@pytest.fixture()
def tables(plain_tables, tmp_path) -> Path:
    """A copy of the plain tables that the test may edit."""
    return shutil.copytree(plain_tables, tmp_path / "root")


@pytest.mark.slow
@given(seed=st.integers(0, 10**6))
@settings(max_examples=12)
def test_frames_of_disturbed_tables_equal_the_devkits(plain_tables, tmp_path_factory, seed):
    """Rows in any order, gaps in time, tracks cut short, samples without lidar or boxes."""
    rng = np.random.default_rng(seed)
    root = shutil.copytree(plain_tables, tmp_path_factory.mktemp("disturbed") / "root")
    for table in ("sample", "sample_data", "sample_annotation", "ego_pose", "scene", "sensor"):
        edit(root, table, lambda rows: [rows[i] for i in rng.permutation(len(rows))])
    no_lidar, no_boxes = rng.choice([row["token"] for row in _rows(root, "sample")], 2)

    def later(rows):
        for row in rows:
            row["timestamp"] += int(rng.choice([0, 0, 700_000, 2_000_000, -490_000]))
        return rows

    def annotations(rows):
        for row in rows:
            row["attribute_tokens"] = row["attribute_tokens"][: rng.integers(2)]
            row["visibility_token"] = str(rng.choice(["", "1", "4"]))
            row["num_radar_pts"] = int(rng.integers(3))
            if rng.random() < 0.3:
                row[str(rng.choice(["prev", "next"]))] = ""
        kept = [row for row in rows if row["sample_token"] != no_boxes]
        tokens = {row["token"] for row in kept}
        for row in kept:
            row.update({n: row[n] if row[n] in tokens else "" for n in ("prev", "next")})
        return kept

    edit(root, "sample", later)
    edit(root, "sample_annotation", annotations)
    lidar = next(r["token"] for r in _rows(root, "sensor") if r["channel"] == "LIDAR_TOP")
    mounted = {r["token"]: r["sensor_token"] for r in _rows(root, "calibrated_sensor")}
    edit(root, "sample_data", lambda rows: [
        row for row in rows
        if row["sample_token"] != no_lidar or mounted[row["calibrated_sensor_token"]] != lidar
    ])  # fmt: skip
    cameras = tuple(rng.permutation(CAMERAS)[: rng.integers(7)].tolist())
    compare(root, VERSION, "train", cameras)


def _rows(root: Path, table: str) -> list[dict]:
    return json.loads((root / VERSION / f"{table}.json").read_text())


def test_neighbours_equal_the_devkits(plain_tables):
    """Previous and next rows of sample and sample_data, sweeps between key frames included."""
    nusc = NuScenes(VERSION, str(plain_tables), verbose=False)
    index = open_index(plain_tables, VERSION)

    def place(rows, token):
        return next((i for i, row in enumerate(rows) if row["token"] == token), NO_ROW)

    for table, columns in (("sample", index.sample), ("sample_data", index.sample_data)):
        rows = getattr(nusc, table)
        for row, entry in enumerate(rows):
            assert columns.prev[row] == place(rows, entry["prev"])
            assert columns.next[row] == place(rows, entry["next"])
            assert columns.timestamp[row] == entry["timestamp"]
    data = index.sample_data
    assert (~data.is_key_frame).sum() == 2 * 3 * 7  # scenes, gaps, sensors
    for row, entry in enumerate(nusc.sample_data):
        assert data.filename[row].decode() == entry["filename"]
        assert index.token_of(int(data.sample[row])) == entry["sample_token"]
        assert bytes(index.sensor.channel[data.channel[row]]).decode() == entry["channel"]


def test_only_radar_is_left_out(tables):
    edit(tables, "sensor", lambda rows: [
        {**row, "modality": "radar"} if row["channel"] == "CAM_BACK" else row for row in rows
    ])  # fmt: skip
    assert compare(tables, VERSION, "train", ("CAM_FRONT",)) > 0
    index = open_index(tables, VERSION)
    assert "CAM_BACK" not in index.channels and len(index.channels) == 6
    linked = index.sample_data.next[index.sample_data.next != NO_ROW]
    assert (index.sample_data.channel[linked] < 6).all() and len(linked) == 6 * 2 * 6


def test_a_part_of_a_data_set_can_be_read(tables):
    """sample_data records may name neighbours that the part does not contain."""
    edit(tables, "sample_data", lambda rows: [row for row in rows if row["is_key_frame"]])
    index = open_index(tables, VERSION)
    assert (index.sample_data.next == NO_ROW).all()
    assert compare(tables, VERSION, "train") > 0


def test_a_custom_camera_rig_without_lidar(tables):
    """Two cameras of other names, no lidar: the ego pose is that of the first record."""
    kept = {"CAM_BACK": "wide", "CAM_BACK_LEFT": "side"}
    left_out = {r["token"] for r in _rows(tables, "sensor") if r["channel"] not in kept}
    mounted = {r["token"]: r["sensor_token"] for r in _rows(tables, "calibrated_sensor")}
    edit(tables, "sample_data", lambda rows: [
        row for row in rows if mounted[row["calibrated_sensor_token"]] not in left_out
    ])  # fmt: skip
    edit(tables, "sensor", lambda rows: [
        {**row, "channel": kept.get(row["channel"], row["channel"])} for row in rows
    ])  # fmt: skip
    for cameras in (("wide",), ("side", "wide")):
        assert compare(tables, VERSION, "train", cameras) > 0
    assert read_frames(open_index(tables, VERSION), "train", ())[0].lidar_path is None


def test_samples_with_missing_cameras(tables):
    """An error by default; with ``missing="skip"`` the sample has only the other cameras."""
    sensors = {r["token"]: r["channel"] for r in _rows(tables, "sensor")}
    mounted = {r["token"]: sensors[r["sensor_token"]] for r in _rows(tables, "calibrated_sensor")}
    first, second = [row["token"] for row in _rows(tables, "sample")][:2]
    lost = {(first, "CAM_BACK"), (second, "CAM_BACK"), (second, "CAM_FRONT")}
    edit(tables, "sample_data", lambda rows: [
        row for row in rows
        if (row["sample_token"], mounted[row["calibrated_sensor_token"]]) not in lost
    ])  # fmt: skip
    index, cameras = open_index(tables, VERSION), ("CAM_BACK", "CAM_FRONT", "CAM_BACK_LEFT")
    with pytest.raises(DataError, match="has no camera CAM_BACK .data.cameras.; it has"):
        read_frames(index, "train", cameras)
    frames = read_frames(index, "train", cameras, missing="skip")
    names = {f.token: [camera.name for camera in f.cameras] for f in frames[:]}
    assert names.pop(first) == ["CAM_FRONT", "CAM_BACK_LEFT"]
    assert names.pop(second) == ["CAM_BACK_LEFT"]
    assert all(own == list(cameras) for own in names.values()) and len(names) == 6
    with pytest.raises(DataError, match=f"{second} has none of the cameras CAM_BACK, CAM_FRONT;"):
        read_frames(index, "train", cameras[:2], missing="skip")
    with pytest.raises(DataError, match="has no camera CAM_SIDE"):
        read_frames(index, "train", (*cameras, "CAM_SIDE"), missing="skip")


def test_frames_are_built_on_access_and_pickled_as_rows(plain_tables):
    index = open_index(plain_tables, VERSION)
    frames = read_frames(index, "train")
    packed = pickle.dumps(frames[2:])
    assert len(packed) < 2000
    again = pickle.loads(packed)
    assert len(again) == 6
    same(again[0], frames[2])
    same(frames[-1], list(frames)[-1])
    assert not again.tables.sample_annotation.translation.flags.writeable
    frames[0].boxes.center.add_(1.0)  # a frame may be modified


def test_rows_are_found_by_token(plain_tables):
    index = open_index(plain_tables, VERSION)
    rows = split_rows(index, "train")
    tokens = [index.token_of(int(row)) for row in rows]
    assert (index.rows_of(tokens[::-1]) == rows[::-1]).all()
    with pytest.raises(DataError, match=r"no sample 'unknown'"):
        index.rows_of([tokens[0], "unknown"])


def test_a_sample_without_any_sensor_is_named(tables):
    first = _rows(tables, "sample")[0]["token"]
    edit(tables, "sample_data", lambda rows: [r for r in rows if r["sample_token"] != first])
    with pytest.raises(DataError, match=f"{first} has no sensor data"):
        read_frames(open_index(tables, VERSION), "train", ())


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("sample", lambda rows: rows + rows[:1], "sample.json has token .* twice"),
        ("sample", lambda rows: {"rows": rows}, "not a list of rows"),
        ("sample", lambda rows: [*rows, 3], "row 3: token is 'missing'"),
        ("scene", lambda rows: rows[1:], "sample.json names a scene_token '.*scene.json does"),
        ("ego_pose", lambda rows: rows[1:], "names a ego_pose_token"),
        ("category", lambda rows: [], "instance.json names a category_token"),
        (
            "sample_annotation",
            lambda rows: [*rows[:3], {**rows[3], "translation": [1.0, 2.0]}, *rows[4:]],
            r"sample_annotation.json, row \w{32}: translation is \[1.0, 2.0\]",
        ),
        (
            "sample_annotation",
            lambda rows: [{**rows[0], "next": "gone"}, *rows[1:]],
            "sample_annotation.json names a next 'gone'",
        ),
        (
            "calibrated_sensor",
            lambda rows: [{k: v for k, v in rows[0].items() if k != "rotation"}, *rows[1:]],
            "rotation is 'missing'",
        ),
    ],
)
def test_damaged_tables_are_named(tables, table, change, message):
    edit(tables, table, change)
    with pytest.raises(DataError, match=message):
        open_index(tables, VERSION)


@pytest.mark.parametrize(("keep", "message"), [(0.5, "truncated at character"), (0, "is empty")])
def test_a_truncated_table_is_named(tables, keep, message):
    path = tables / VERSION / "sample_data.json"
    text = path.read_text()
    path.write_text(text[: int(len(text) * keep)])
    with pytest.raises(DataError, match=f"sample_data.json.*{message}"):
        open_index(tables, VERSION)


def test_a_missing_table_is_named(tables):
    (tables / VERSION / "ego_pose.json").unlink()
    with pytest.raises(DataError, match=r"ego_pose.json missing"):
        open_index(tables, VERSION)


def test_a_config_opens_its_data(tables):
    config = DataConfig(root=tables, version=VERSION, cameras=("CAM_BACK",))
    assert len(opened(config).frames("train")) == 8
    missing = replace(config, cameras=("CAM_SIDE",))
    with pytest.raises(
        DataError, match=r"no camera CAM_SIDE .data.cameras.; it has CAM_BACK, .*CAM_FRONT_RIGHT\."
    ):
        opened(missing).frames("train")
