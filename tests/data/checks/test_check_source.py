"""check-data CONFIG checks the data of any source; for nuScenes' format it checks its tables."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from commands import ROOT, call
from own_data import CAMERAS, VERSION, write_own_data
from warehouse import write_warehouse

from bev.config import load_file
from bev.data.adjacent import AdjacentConfig
from bev.data.checks import files, plausible, source, tables
from bev.data.checks.check import FileCheckConfig
from bev.data.checks.findings import Findings, Kind
from bev.data.checks.ground_truth import (
    COMMON_SCENES,
    NO_GROUND_TRUTH,
    NO_USABLE_BOX,
    UNUSABLE_POLYGONS,
    UNUSABLE_SPLIT,
)
from bev.data.checks.source import check_config_data
from bev.data.frame import Frame
from bev.data.polygons import PolygonConfig
from bev.data.settings import DataConfig
from bev.data.source import Frames, FrameSource, SourceConfig
from bev.errors import ConfigError, DataError

EXAMPLE = ROOT / "docs" / "examples" / "warehouse.py"
IMAGE = Path("train/aisle-1/left_001.jpg")
NAMED = f"{IMAGE} (frame 'aisle-1-001')"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return write_warehouse(tmp_path_factory.mktemp("warehouse") / "root")


@pytest.fixture(scope="module")
def example() -> DataConfig:
    return load_file(EXAMPLE).data


@pytest.fixture
def data(made, example, tmp_path) -> DataConfig:
    return replace(example, root=shutil.copytree(made, tmp_path / "root"))


def found(data: DataConfig, **config: Any) -> Findings:
    return check_config_data(data, FileCheckConfig(**config))[1]


def edit(root: Path, change: Callable[[dict], None], scene: str = "train/aisle-1") -> None:
    """Change a scene of the warehouse."""
    path = root / f"{scene}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def missing(root: Path) -> None:
    (root / IMAGE).unlink()


def empty(root: Path) -> None:
    (root / IMAGE).write_bytes(b"")


def a_folder(root: Path) -> None:
    missing(root)
    (root / IMAGE).mkdir()


def other_size(root: Path) -> None:
    cv2.imwrite(str(root / IMAGE), np.zeros((48, 60, 3), np.uint8))


def truncated(root: Path) -> None:
    (root / IMAGE).write_bytes((root / IMAGE).read_bytes()[:-40])


def sixteen_bits(root: Path) -> None:
    """Only decoding finds it."""
    image = np.zeros((96, 120, 3), np.uint16)
    (root / IMAGE).write_bytes(cv2.imencode(".png", image)[1].tobytes())


def box_in_millimetres(root: Path) -> None:
    def change(scene: dict) -> None:
        scene["frames"][2]["objects"][0]["size"] = [1200.0, 800.0, 1000.0]

    edit(root, change)


def flat_box(root: Path) -> None:
    edit(root, lambda scene: scene["frames"][2]["objects"][0].update(size=[1.0, 0.0, 1.0]))


def doubled_frame(root: Path) -> None:
    edit(root, lambda scene: scene["frames"].insert(1, scene["frames"][0]))


def later_frame_with_the_same_images(root: Path) -> None:
    def change(scene: dict) -> None:
        scene["frames"].append({**scene["frames"][1], "seconds": 9.0})

    edit(root, change)


def outside(root: Path) -> None:
    shutil.copy(root / IMAGE, root.parent / "secret.jpg")
    edit(root, lambda scene: scene["frames"][1]["images"].update(left="../../secret.jpg"))


def camera_underground(root: Path) -> None:
    def change(scene: dict) -> None:
        scene["cameras"]["left"]["cart_from_camera"][2][3] = -1.0

    edit(root, change)


def in_milliseconds(root: Path) -> None:
    def change(scene: dict) -> None:
        for frame in scene["frames"]:
            frame["seconds"] *= 1e-3

    for number in (1, 2, 3):
        edit(root, change, f"train/aisle-{number}")


def without_boxes(root: Path) -> None:
    edit(root, lambda scene: scene["frames"][3].update(objects=[]))


class Case(NamedTuple):
    """Damage of the warehouse, and the finding: its kind, and a part of the one message."""

    spoil: Callable[[Path], None]
    kind: Kind
    named: str
    decode: bool = False


CASES = [
    Case(missing, files.IMAGE_MISSING, NAMED),
    Case(empty, files.IMAGE_EMPTY, NAMED),
    Case(a_folder, files.IMAGE_MISSING, f"{NAMED}: Is a directory"),
    Case(other_size, files.IMAGE_SIZE, f"{NAMED}: 60x48, declared 120x96"),
    Case(truncated, files.IMAGE_CUT, NAMED, decode=True),
    Case(sixteen_bits, files.IMAGE_UNREADABLE, NAMED, decode=True),
    Case(box_in_millimetres, plausible.BOX_SIZE, "train: pallet: 1 of 60, 1.2e+03 x 800 x 1e+03 m"),
    Case(flat_box, source.FAULTY, "Frame 'aisle-1-002': boxes.size of box 0 is"),
    Case(doubled_frame, source.FAULTY, "Frame 'aisle-1-001' at 0 us follows 'aisle-1-000'"),
    Case(later_frame_with_the_same_images, source.IMAGE_TWICE, "'aisle-1-001' and frame 'aisle-1"),
    Case(outside, source.FAULTY, "Frame 'aisle-1-001' names the file"),
    Case(camera_underground, plausible.CAMERA_HEIGHT, "train: left: -1 m, 4 of 12 calibrations"),
    Case(in_milliseconds, plausible.TIME_UNIT_UNUSED, "train: key frames are 0.0005 s apart"),
    Case(without_boxes, tables.NO_BOXES, "frame 'aisle-1-003'"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.spoil.__name__)
def test_damage_is_reported_by_kind_with_the_file_or_the_frame(data, case: Case):
    case.spoil(data.root)
    if case.decode and case.kind is files.IMAGE_UNREADABLE:
        assert not found(data).by_kind
    findings = found(data, decode=case.decode)
    assert list(findings.by_kind) == [case.kind]
    count = 5 if case.spoil is later_frame_with_the_same_images else 1  # images of a frame
    messages = findings.by_kind[case.kind]
    assert len(messages) == count and all(case.named in text or count > 1 for text in messages)
    assert "\n" not in messages[0]


def test_the_unit_of_times_is_an_error_with_adjacent_frames(data):
    in_milliseconds(data.root)
    assert not found(data).count(is_error=True)
    with_times = found(replace(data, adjacent=AdjacentConfig(previous=1)))
    assert list(with_times.by_kind) == [plausible.TIME_UNIT]


def test_settings_that_frames_cannot_serve_are_errors_beside_the_damage(data):
    missing(data.root)
    for settings in {"reference": "lidar"}, {"adjacent": AdjacentConfig(1, unit="sweeps")}:
        refused = replace(data, **settings)
        findings = found(refused)
        assert list(findings.by_kind) == [source.UNPROVIDED, files.IMAGE_MISSING]
        with pytest.raises(ConfigError) as error:
            refused.source.open(refused).frames("val")
        assert findings.by_kind[source.UNPROVIDED] == [str(error.value)]


def test_an_intact_source_has_no_findings(data):
    """The command reads only the config, in its first argument, and its overrides."""
    out, _ = call("check_data.py", EXAMPLE, "--data.root", data.root, "--decode")
    assert out.splitlines() == [
        f"WarehouseConfig in {data.root}: 16 samples, 136 boxes, 80 images, 0 lidar files",
        "  train: 3 scenes, 12 samples, 100 boxes: 100 used (pallet 60, worker 24, forklift 16)",
        "  val: 1 scene, 4 samples, 36 boxes: 36 used (pallet 20, worker 8, forklift 8)",
        "nothing wrong",
    ]


def test_the_command_lists_all_damage_of_both_splits_at_once(data):
    missing(data.root), flat_box(data.root)
    edit(data.root, lambda scene: scene["frames"].insert(1, scene["frames"][0]), "val/aisle-4")
    out, _ = call("check_data.py", EXAMPLE, "--data.root", data.root, code=1)
    for name in (str(IMAGE), "'aisle-1-002'", "'aisle-4-001'"):
        assert name in out
    assert f"error: {source.FAULTY.title}: 2\n" in out and "\n3 errors\n" in out
    assert "train: 3 scenes, 11 samples" in out


def test_a_split_that_cannot_be_read_does_not_hide_the_other(data):
    missing(data.root)
    findings = found(replace(data, val_split="other"))
    assert list(findings.by_kind) == [UNUSABLE_SPLIT, files.IMAGE_MISSING]
    (text,) = findings.by_kind[UNUSABLE_SPLIT]
    assert text.startswith("other: WarehouseConfig has no frame of split 'other'")


def test_frames_of_both_splits_are_found(data):
    shutil.copytree(data.root / "train" / "aisle-1", data.root / "val" / "aisle-1")
    scene = data.root / "val" / "aisle-1.json"
    shutil.copy(data.root / "train" / "aisle-1.json", scene)
    findings = found(data)
    assert findings.by_kind[COMMON_SCENES] == ["train and val: 1 scenes (aisle-1)"]
    assert len(findings.by_kind[source.TOKEN_TWICE]) == 4
    edit(data.root, lambda scene: scene.update(frames=[]), "val/aisle-1")
    assert not found(data).by_kind
    assert not found(replace(data, fold="1/2")).by_kind
    same = found(replace(data, val_split="train"))
    assert list(same.by_kind) == [COMMON_SCENES]


def test_a_frame_of_both_splits_is_counted_once_and_no_error(data):
    """Overlapping splits, as of a run that is tried on its training data."""
    data = replace(data, source=ScenesConfig(data.source, ("aisle-1", "aisle-2"), ("aisle-1",)))
    summary, findings = check_config_data(data, FileCheckConfig())
    assert ": 8 samples, 72 boxes, 40 images," in summary
    assert "val: 1 scene, 4 samples, 36 boxes" in summary
    assert findings.by_kind == {COMMON_SCENES: ["train and val: 1 scenes (aisle-1)"]}
    data = replace(data, source=replace(data.source, later=1))
    findings = found(data)
    assert list(findings.by_kind) == [COMMON_SCENES, source.TOKEN_TWICE]
    assert findings.by_kind[source.TOKEN_TWICE][0] == "frame 'aisle-1-000' of train and val"


def test_a_size_given_as_a_list_is_compared_by_its_numbers(data):
    """Training accepts it, too."""
    data = replace(data, source=ListsConfig(data.source, ("aisle-1",), ("aisle-4",)))
    assert not found(data, decode=True).by_kind
    other_size(data.root)
    assert [NAMED in text for text in found(data).by_kind[files.IMAGE_SIZE]] == [True]


def test_splits_without_boxes_are_found(data):
    edit(data.root, lambda scene: [f.update(objects=[]) for f in scene["frames"]], "val/aisle-4")
    assert found(data).by_kind == {NO_GROUND_TRUTH: ["val: 4 samples"]}


def test_a_lidar_that_the_config_needs_is_missing(data):
    findings = found(replace(data, lidar=True))
    ((kind, texts),) = findings.by_kind.items()
    assert kind.is_error and len(texts) == 16 and texts[0] == "frame 'aisle-1-000'"


@dataclass(frozen=True)
class ScenesConfig(SourceConfig):
    """Splits of some scenes of the warehouse.

    Attributes:
        later: microseconds added to the times of the validation split.
    """

    of: SourceConfig = SourceConfig()
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    later: int = 0

    labels = property(lambda self: self.of.labels)
    cameras = property(lambda self: self.of.cameras)

    def frames(self, data, split: str) -> list[Frame]:
        every = [frame for name in ("train", "val") for frame in self.of.frames(data, name)]
        late = self.later * (split == "val")
        return [
            replace(frame, timestamp=frame.timestamp + late)
            for frame in every
            if frame.scene in getattr(self, split)
        ]


class ListsConfig(ScenesConfig):
    """The size of each image is a list, which only type checkers refuse."""

    def frames(self, data, split: str) -> list[Frame]:
        frames = super().frames(data, split)
        for camera in (camera for frame in frames for camera in frame.cameras):
            object.__setattr__(camera, "size", list(camera.size))
        return frames


class Lazy(Sequence):
    """Frames whose first image is read on access."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, item):
        self.frames[item].cameras[0].path.read_bytes()
        return self.frames[item]


class LazyConfig(ScenesConfig):
    def frames(self, data, split: str) -> Lazy:
        return Lazy(super().frames(data, split))


@dataclass(frozen=True)
class OwnFramesConfig(SourceConfig):
    """A source whose frames are read on access, with lidar and points."""

    of: SourceConfig = SourceConfig()

    @property
    def labels(self):
        return self.of.labels

    @property
    def cameras(self):
        return self.of.cameras

    def open(self, data):
        return OwnSource(data)


class OwnSource(FrameSource):
    kind = property(lambda self: OwnFrames)

    def frames(self, split: str) -> Frames:
        return self.kind(self.data.source.of.frames(self.data, split), self.data)


class OwnFrames(Frames):
    def __init__(self, frames, data) -> None:
        self.own, self.labels, self.root = frames, data.source.labels, data.root

    @property
    def scene(self):
        return np.unique([frame.scene for frame in self.own], return_inverse=True)[1]

    @property
    def scene_names(self):
        return np.unique([frame.scene for frame in self.own])

    def played(self, item: int, rate: float) -> Frame:
        frame = self.own[item]
        points = frame.boxes.label * 0 + (frame.scene == "aisle-4")
        lidar = self.root / f"{frame.token}.bin"
        return replace(frame, num_points=points - 1 * (item == 0), lidar_path=lidar)


class LazyFrames(OwnFrames):
    def played(self, item: int, rate: float) -> Frame:
        return Lazy(self.own)[item]


@pytest.mark.parametrize("case", ["listed", "fold", "own frames"])
def test_every_frame_that_cannot_be_read_on_access_is_listed(
    data, monkeypatch, no_type_checks, case
):
    for name in ("train/aisle-1/front_002", "train/aisle-2/front_000", "val/aisle-4/front_001"):
        (data.root / f"{name}.jpg").unlink()
    kind = ScenesConfig if case == "own frames" else LazyConfig
    data = replace(data, source=kind(data.source, ("aisle-1", "aisle-2"), ("aisle-4",)))
    if case == "own frames":
        data = replace(data, source=OwnFramesConfig(data.source))
        monkeypatch.setattr(OwnSource, "kind", LazyFrames)
    elif case == "fold":
        data = replace(data, fold="0/2")
    texts = found(data, images=False).by_kind[source.FAULTY]
    for text, row, split in zip(texts, (2, 4, 1), ("train", "train", "val"), strict=True):
        name = type(data.source).__name__
        assert text.startswith(f"{name} cannot read frame {row} of split '{split}' ([Errno 2]")
        assert text.endswith(f"restore its files in {data.root}, or leave it out.")
    if case != "own frames":  # which reads none at the start
        with pytest.raises(DataError, match="cannot read frame 2 of split 'train'"):
            data.source.open(data).frames(data.splits[0])


def test_a_source_with_frames_of_its_own_is_checked(data):
    """Its boxes are counted, its frames and lidar files checked, although it does neither."""
    rows = np.tile(np.arange(40, dtype=np.float32)[:, None], (1, 5))
    for number, token in ((n, f"aisle-{s}-{n:03d}") for s in range(1, 5) for n in range(4)):
        (data.root / f"{token}.bin").write_bytes(rows.tobytes()[: 800 - number % 2])
    (data.root / "aisle-4-002.bin").unlink()
    flat_box(data.root)
    data = replace(data, source=OwnFramesConfig(data.source))
    summary, findings = check_config_data(data, FileCheckConfig())
    assert "train: 3 scenes, 11 samples, 91 boxes: 0 used; 91 with fewer than 1 lidar" in summary
    assert "val: 1 scene, 4 samples, 36 boxes: 27 used" in summary
    counts = {kind: len(texts) for kind, texts in findings.by_kind.items()}
    assert counts == {
        source.FAULTY: 1,
        NO_USABLE_BOX: 1,
        files.LIDAR_DAMAGED: 8,
        files.lidar_missing(False): 1,
    }


@pytest.fixture
def own(tmp_path) -> Path:
    return write_own_data(tmp_path / "own")


def test_a_config_of_nuscenes_format_checks_its_tables(own):
    """The report is that of the data root, and the splits in use are compared."""
    settings = [
        "--data.root", own, "--data.version", VERSION, "--data.cameras", *CAMERAS,
        "--data.train-split", "mine_train", "--data.val-split",
    ]  # fmt: skip
    of_root, _ = call("check_data.py", own, "--version", VERSION)
    assert call("check_data.py", "lss_r50_mini", *settings, "mine_val")[0] == of_root
    both, _ = call("check_data.py", "lss_r50_mini", *settings, "mine_train")
    assert f"warning: {COMMON_SCENES.title}: 1\n    mine_train and mine_train: " in both
    out, _ = call("check_data.py", "lss_r50_mini", *settings, "else", code=1)
    assert f"error: {UNUSABLE_SPLIT.title}: 1\n    else: Split 'else' is neither" in out


def test_own_splits_in_use_are_compared_with_the_official_ones(own):
    """Splits for different purposes may share scenes; those of one run may not."""
    version = (own / VERSION).rename(own / "v1.0-mini")
    text = (version / "scene.json").read_text()
    text = text.replace('"name": "scene-a"', '"name": "scene-0061"')  # of mini_train
    text = text.replace('"name": "scene-b"', '"name": "scene-0103"')  # of mini_val
    (version / "scene.json").write_text(text)
    (version / "splits.json").write_text(json.dumps({"mine": ["scene-0061", "scene-0103"]}))
    data = DataConfig(root=own, version="v1.0-mini", cameras=tuple(CAMERAS))
    assert not found(data, images=False).by_kind
    findings = found(replace(data, train_split="mine"), images=False)
    assert findings.by_kind == {COMMON_SCENES: ["mine and mini_val: 1 scenes (scene-0103)"]}


def test_polygons_of_the_layers_in_use_are_defined(data):
    data = replace(data, polygons=PolygonConfig(("stored",)))
    assert not found(data).by_kind
    without = ScenesConfig(data.source, ("aisle-1",), ("aisle-4",))
    assert len(found(replace(data, source=without)).by_kind[UNUSABLE_POLYGONS]) == 2
