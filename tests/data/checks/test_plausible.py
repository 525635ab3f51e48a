"""Wrong units, layouts and conventions are found; values that are merely unusual are not."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from own_data import VERSION, write_own_data
from pyquaternion import Quaternion

from bev.data.adjacent import AdjacentConfig
from bev.data.checks import index_facts, plausible
from bev.data.checks.check import CheckConfig, check_data
from bev.data.checks.findings import Findings, Kind
from bev.data.checks.index_facts import doubts_of
from bev.data.frame import CameraFrame, Frame
from bev.data.labels import LabelSpace, ObjectClass
from bev.data.listed import ListedFrames
from bev.data.nuscenes.index import Index
from bev.data.nuscenes.index_build import join
from bev.data.nuscenes.tables import TABLES, read_table
from bev.data.settings import DataConfig
from bev.data.source import SourceConfig
from bev.geometry import Boxes3D


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    return write_own_data(tmp_path_factory.mktemp("plausible") / "root")


@pytest.fixture
def tables(sound) -> dict[str, list[dict]]:
    """Rows of the tables, which a test may change."""
    files = (sound / VERSION).glob("*.json")
    return {file.stem: json.loads(file.read_text()) for file in files}


@pytest.fixture
def check(sound, tables, tmp_path):
    """A function that checks the changed tables, and returns the findings."""

    def checked() -> Findings:
        folder = tmp_path / VERSION
        folder.mkdir(exist_ok=True)
        for name, rows in tables.items():
            (folder / f"{name}.json").write_text(json.dumps(rows))
        return check_data(tmp_path, VERSION, CheckConfig(images=False))[1]

    return checked


def scale(tables: dict[str, list[dict]], names: str, field: str, factor: float) -> None:
    for name in names.split():
        for row in tables[name]:
            value = row[field]
            many = isinstance(value, list)
            row[field] = [v * factor for v in value] if many else int(value * factor)


def test_sound_tables_raise_no_doubt(check):
    assert not check().by_kind


@pytest.mark.parametrize(
    ("factor", "text"),
    [(1e-6, "in seconds"), (1e-3, "in milliseconds"), (1e3, "in nanoseconds")],
)
@pytest.mark.parametrize("start", [0, 1_700_000_000_000_000])
def test_times_in_other_units_are_named(check, tables, factor, text, start):
    for name in ("sample", "sample_data"):
        for row in tables[name]:
            row["timestamp"] -= 1_700_000_000_000_000 - start
    scale(tables, "sample sample_data", "timestamp", factor)
    findings = check()
    if factor == 1e3 and start == 0:  # could be of one frame every 500 s
        assert text in findings.by_kind[plausible.TIME_STEPS][0] and not findings.count(True)
        return
    assert list(findings.by_kind) == [plausible.TIME_UNIT] and findings.count(is_error=True) == 1
    assert text in findings.by_kind[plausible.TIME_UNIT][0]


@given(st.floats(0.002, 15), st.integers(0, 2**51), st.integers(2, 6))
def test_times_of_any_rate_and_origin_are_plausible(step, start, count):
    time, findings = start + np.arange(count) * round(step * 1e6), Findings()
    plausible._check_times(time, np.diff(time) * 1e-6, findings)
    assert not findings.by_kind


@pytest.mark.parametrize(
    ("seconds", "kind"), [(30.0, plausible.TIME_STEPS), (5e-4, plausible.TIME_UNIT)]
)
def test_the_rule_for_times_is_one_for_all_sources(check, tables, frames, seconds, kind):
    """Key frames 30 s apart are unusual, and possible; those of one camera at 2 kHz are not."""
    start = min(row["timestamp"] for row in tables["sample"])
    for name in ("sample", "sample_data"):
        for row in tables[name]:
            row["timestamp"] = round((row["timestamp"] - start) * seconds / 0.5)
    moved = [replace(frame, timestamp=round(i * seconds * 1e6)) for i, frame in enumerate(frames)]
    for previous in (0, 1):
        data = DataConfig(source=Cups(), adjacent=AdjacentConfig(previous=previous))
        for findings in (check(), ListedFrames(moved, data).doubts()):
            assert kind in findings.by_kind
            assert findings.count(is_error=True) == int(kind.is_error)


def swap(tables: dict[str, list[dict]], table: str) -> None:
    for row in tables[table]:
        row["prev"], row["next"] = row["next"], row["prev"]


def unlink(tables: dict[str, list[dict]], table: str) -> None:
    for row in tables[table]:
        row["prev"] = row["next"] = ""


def negate_times(tables: dict[str, list[dict]]) -> None:
    scale(tables, "sample sample_data", "timestamp", -1)


def shift_samples(tables: dict[str, list[dict]]) -> None:
    for row in tables["sample"]:
        row["timestamp"] += 5_000_000


def rotate(tables: dict[str, list[dict]], change) -> None:
    for row in tables["calibrated_sensor"]:
        row["rotation"] = change(Quaternion(row["rotation"])).elements.tolist()


def invert(tables: dict[str, list[dict]]) -> None:
    """Write camera_from_ego in place of ego_from_camera."""
    for row in tables["calibrated_sensor"]:
        turn = Quaternion(row["rotation"]).inverse
        row["rotation"] = turn.elements.tolist()
        row["translation"] = (-turn.rotate(np.array(row["translation"]))).tolist()


def lens(tables: dict[str, list[dict]], change) -> None:
    for row in tables["calibrated_sensor"]:
        row["camera_intrinsic"] = change(np.array(row["camera_intrinsic"])).tolist()


def scaled_lens(factor: float):
    return lambda matrix: np.diag([factor, factor, 1.0]) @ matrix


def local_boxes(tables: dict[str, list[dict]]) -> None:
    """Move boxes by 700 m: they are given relative to the vehicle in place of the global frame."""
    for row in tables["sample_annotation"]:
        row["translation"][1] -= 700


def long_boxes_first(tables: dict[str, list[dict]]) -> None:
    for row in tables["sample_annotation"]:
        width, length, height = row["size"]
        row["size"] = [length, width, height]


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        (lambda t: swap(t, "sample"), index_facts.LINKS_REVERSED, "2 of 2, the first is sample"),
        (negate_times, index_facts.LINKS_REVERSED, "2 of 2"),
        (lambda t: unlink(t, "sample"), index_facts.LINKS, "2 of 2 pairs, the first in scene"),
        (lambda t: unlink(t, "sample_annotation"), index_facts.BOX_LINKS, "16 boxes, although 8"),
        (shift_samples, index_facts.RECORD_TIMES, "16 of 16 records, 4.97 s apart"),
        (lambda t: scale(t, "ego_pose", "translation", 1e3), plausible.EGO_SPEED, "2 of 2 steps"),
        (lambda t: scale(t, "calibrated_sensor", "translation", 1e3),
         plausible.CAMERA_HEIGHT, "CAM_AHEAD: 1500 m"),
        (lambda t: scale(t, "calibrated_sensor", "translation", 0),
         plausible.CAMERA_HEIGHT, "CAM_AHEAD: 0 m"),
        (invert, plausible.CAMERA_HEIGHT, "CAM_AHEAD: -0.5 m"),
        (invert, plausible.CAMERA_DIRECTION, "CAM_AHEAD: image turned by 90 degrees"),
        (lambda t: rotate(t, lambda _: Quaternion()), plausible.CAMERA_DIRECTION,
         "CAM_AHEAD: points 90 degrees up"),
        (lambda t: rotate(t, lambda turn: Quaternion(np.roll(turn.elements, -1))),
         plausible.CAMERA_DIRECTION, "CAM_"),
        (lambda t: rotate(t, lambda turn: turn * Quaternion(axis=(0, 0, 1), degrees=180)),
         plausible.CAMERA_DIRECTION, "CAM_AHEAD: image turned by 180 degrees"),
        (lambda t: lens(t, scaled_lens(1 / 480)), plausible.FOCAL_LENGTH,
         "CAM_AHEAD: 0.6875 and 0.6875 px for 480x270 px"),
        (lambda t: lens(t, scaled_lens(-1)), plausible.FOCAL_LENGTH, "CAM_AHEAD: -330"),
        (lambda t: lens(t, scaled_lens(4)), plausible.PRINCIPAL_POINT,
         "CAM_AHEAD: (960, 540) for 480x270 px"),
        (lambda t: scale(t, "sample_annotation", "size", 1000), plausible.BOX_SIZE,
         "car: 16 of 16, 4.5e+03 x 1.9e+03 x 1.6e+03 m (median)"),
        (lambda t: scale(t, "sample_annotation", "size", 0.001), plausible.BOX_SIZE, "16 of 16"),
        (long_boxes_first, plausible.BOX_ORDER, "car: 16 of 16"),
        (lambda t: scale(t, "sample_annotation", "translation", 100), plausible.BOX_SPEED,
         "car: 16 of 16, up to 800 m/s"),
        (local_boxes, plausible.BOX_PLACE, "16 of 16, "),
    ],
)  # fmt: skip
def test_wrong_conventions_are_found_with_counts(check, tables, change, kind: Kind, text):
    change(tables)
    findings = check()
    assert text in findings.by_kind[kind][0]
    advice = kind.advice[0].lower() + kind.advice[1:]
    sentences = findings.sentences(kind.is_error)
    assert any(s.startswith(f"{kind.title} (") and s.endswith(f"): {advice}") for s in sentences)


def test_real_samples_and_the_synthetic_world_raise_no_doubt(nuscenes_root, synthetic_world):
    for root, version in ((nuscenes_root, "v1.0-mini"), (synthetic_world, "v1.0-synthetic")):
        index = index_of(root, version)
        assert not doubts_of(index, np.arange(len(index.sample.timestamp))).by_kind


def index_of(root: Path, version: str) -> Index:
    tables = {table: read_table(root / version, table)[0] for table in TABLES}
    join(root / version, tables)
    return Index.in_memory(tables, root / version)


@dataclass(frozen=True)
class Cups(SourceConfig):
    labels: LabelSpace = LabelSpace((ObjectClass("cup"), ObjectClass("van")))
    cameras: tuple[str, ...] = ("front",)


@pytest.fixture
def frames(sound) -> list[Frame]:
    """Two frames of one camera and one box, half a second apart."""
    matrix = torch.tensor([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]], dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    pose[2, 3] = 1.5
    path = next(sound.glob("samples/*/*.jpg"))
    camera = CameraFrame("front", path, (80, 100), matrix, pose)
    box = Boxes3D.make(
        torch.tensor([[9.0, 0, 1]]), torch.tensor([[4.0, 2, 2]]), torch.zeros(1),
        torch.tensor([[5.0, 0]]), label=torch.ones(1, dtype=torch.long),
    )  # fmt: skip
    return [Frame(f"{i}", (camera,), box, "s", i * 500_000) for i in range(2)]


def far(frame: Frame) -> Frame:
    pose = frame.global_from_ego.clone()
    pose[0, 3] = frame.timestamp
    return replace(frame, global_from_ego=pose)


def other_box(**changed) -> Callable[[Frame], Frame]:
    values = {name: torch.tensor([value]) for name, value in changed.items()}
    return lambda frame: replace(frame, boxes=replace(frame.boxes, **values))


def other_camera(**changed) -> Callable[[Frame], Frame]:
    return lambda frame: replace(frame, cameras=(replace(frame.cameras[0], **changed),))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (far, plausible.EGO_SPEED),
        (other_box(size=[4000.0, 2000, 2000]), plausible.BOX_SIZE),
        (other_box(size=[2.0, 4, 2]), plausible.BOX_ORDER),
        (other_box(velocity=[5000.0, 0]), plausible.BOX_SPEED),
        (other_box(center=[3000.0, 0, 0]), plausible.BOX_PLACE),
        (other_camera(ego_from_camera=torch.eye(4, dtype=torch.float64)),
         plausible.CAMERA_DIRECTION),
        (other_camera(size=(8000, 10000)), plausible.FOCAL_LENGTH),
        (other_camera(size=(30, 40)), plausible.PRINCIPAL_POINT),
    ],
)  # fmt: skip
def test_frames_of_any_source_are_checked(frames, change, kind):
    data = DataConfig(source=Cups())
    assert not ListedFrames(frames, data).doubts().by_kind
    found = ListedFrames([change(frame) for frame in frames], data).doubts()
    assert kind in found.by_kind and not found.count(is_error=True)
