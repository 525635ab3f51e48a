"""check-data CONFIG of nuScenes' format: what the config uses is needed, and nothing else is."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opened import index_in_memory
from own_data import CAMERAS, VERSION, write_own_data

from bev.data.adjacent import AdjacentConfig
from bev.data.checks import files, tables
from bev.data.checks.check import FileCheckConfig
from bev.data.checks.findings import Findings
from bev.data.checks.ground_truth import UNUSABLE_POLYGONS
from bev.data.checks.source import check_config_data
from bev.data.nuscenes import source
from bev.data.polygons import PolygonConfig
from bev.data.settings import DataConfig
from bev.errors import DataError


@pytest.fixture
def own(tmp_path) -> Path:
    return write_own_data(tmp_path / "own")


def found(data: DataConfig, **config: Any) -> Findings:
    return check_config_data(data, FileCheckConfig(**config))[1]


def changed_rows(root: Path, table: str, change: Callable[[list[dict]], list[dict]]) -> None:
    path = root / VERSION / f"{table}.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def of_own(root: Path, **more: Any) -> DataConfig:
    return DataConfig(
        root=root, version=VERSION, train_split="mine_train", val_split="mine_val",
        cameras=tuple(CAMERAS), **more,
    )  # fmt: skip


def test_lost_cameras_are_warned_of_if_the_config_skips_them(tmp_path, monkeypatch):
    """The check has an error exactly if a split of the config cannot be read."""
    monkeypatch.setattr(source, "open_index", index_in_memory)
    lost = [("scene-a-0", "CAM_LEFT"), *(("scene-b-1", name) for name in list(CAMERAS)[:3])]
    root = write_own_data(tmp_path / "own", lost)
    skipping = of_own(root, missing_cameras="skip")
    three, absent = tuple(CAMERAS)[:3], (*CAMERAS, "CAM_ROOF")
    for data, kinds, count in (
        (of_own(root), [tables.CAMERA_MISSING], 4),
        (skipping, [tables.CAMERA_SKIPPED], 0),
        (replace(skipping, cameras=three), [tables.CAMERA_SKIPPED, tables.NO_CAMERA], 1),
        (replace(skipping, cameras=absent), [tables.CAMERA_SKIPPED, tables.NO_CAMERA], 1),
    ):
        findings = found(data, images=False)
        assert list(findings.by_kind) == kinds and findings.count(is_error=True) == count
        try:
            [data.source.open(data).frames(split) for split in data.splits]
        except DataError:
            assert count
        else:
            assert not count
    every = found(replace(skipping, cameras=three), images=False).by_kind
    assert every[tables.NO_CAMERA] == ["sample scene-b-1: any camera in use"]


def test_images_between_key_frames_are_checked_if_the_config_uses_them(own):
    def with_sweep(rows: list[dict]) -> list[dict]:
        (first,) = (row for row in rows if row["token"] == "scene-a-0-CAM_LEFT")
        sweep = {
            **first, "token": "sweep", "filename": "sweeps/gone.jpg", "is_key_frame": False,
            "timestamp": first["timestamp"] + 80_000, "prev": first["token"],
        }  # fmt: skip
        first["next"] = "sweep"
        return [*rows, sweep]

    changed_rows(own, "sample_data", with_sweep)
    for unit, following, count in (
        ("sweeps", 1, 1), ("seconds", 1, 1), ("key_frames", 1, 0), ("sweeps", 0, 0)
    ):  # fmt: skip
        adjacent = AdjacentConfig(following=following, unit=unit, step=1.0)
        findings = found(of_own(own, adjacent=adjacent))
        assert list(findings.by_kind) == [files.IMAGE_MISSING] * count
        assert findings.count(is_error=True) == count


def test_the_lidar_frame_needs_lidar_rows_but_no_lidar_file(own):
    data = of_own(own, reference="lidar")
    ((kind, texts),) = found(data).by_kind.items()
    assert kind.is_error and texts == ["LIDAR_TOP: no sample has one"]
    assert kind.advice.endswith("(--data.reference ego).")
    token = {"token": "LIDAR_TOP", "sensor_token": "LIDAR_TOP"}
    changed_rows(own, "sensor", lambda rows: [
        *rows, {"token": "LIDAR_TOP", "channel": "LIDAR_TOP", "modality": "lidar"}
    ])  # fmt: skip
    changed_rows(own, "calibrated_sensor", lambda rows: [*rows, {**rows[0], **token}])
    changed_rows(own, "sample_data", lambda rows: [*rows, *(
        {**row, "token": f"lidar-{row['token']}", "calibrated_sensor_token": "LIDAR_TOP",
         "filename": f"{row['token']}.bin"}
        for row in rows if row["calibrated_sensor_token"] == "CAM_AHEAD"
    )])  # fmt: skip
    assert found(data).by_kind.keys() == {files.lidar_missing(False)}


def test_maps_of_the_layers_in_use_are_read(own):
    """One finding per map, and one for the scenes without a map."""
    (own / VERSION / "log.json").write_text('[{"token": "l", "location": "hall"}]')
    changed_rows(own, "scene", lambda rows: [{**rows[0], "log_token": "l"}, *rows[1:]])
    layers = PolygonConfig(("lane", "vehicle"))
    texts = found(of_own(own, polygons=layers)).by_kind.pop(UNUSABLE_POLYGONS)
    assert len(texts) == 2 and f"{own}/maps/expansion/hall.json is missing" in texts[0]
    assert "Scene scene-b of" in texts[1] and "no log with a location" in texts[1]
    assert not found(of_own(own, polygons=PolygonConfig(("vehicle",)))).by_kind
