"""Sources that return a list of frames: equal to the nuScenes source; a message for each fault."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from opened import opened

from bev.data.adjacent import AdjacentConfig, neighbours
from bev.data.dataset import KeyFrames
from bev.data.frame import CameraFrame, Frame
from bev.data.labels import LabelSpace, ObjectClass
from bev.data.listed import ListedFrames
from bev.data.nuscenes.classes import NUSCENES
from bev.data.nuscenes.sensor_data import CAMERAS
from bev.data.polygons import PolygonConfig
from bev.data.sampling import SamplingConfig
from bev.data.settings import DataConfig
from bev.data.source import SourceConfig
from bev.errors import ConfigError, DataError
from bev.geometry import Boxes3D, Polygons

FRAMES: dict[str, Sequence[Frame]] = {}  # by split
TWO = LabelSpace((ObjectClass("cup"), ObjectClass("plate")), ("full",))


@dataclass(frozen=True)
class MemoryConfig(SourceConfig):
    """A source of frames in memory, with any label space."""

    labels: LabelSpace = TWO
    cameras: tuple[str, ...] = ("a",)

    def frames(self, data: DataConfig, split: str) -> Sequence[Frame]:
        return FRAMES[split]


@pytest.fixture(scope="module")
def both(synthetic_world) -> tuple[DataConfig, DataConfig]:
    """The nuScenes source of the synthetic world, and its frames as a list without lidar."""
    own = DataConfig(
        root=synthetic_world, version="v1.0-synthetic", image_size=(64, 176),
        adjacent=AdjacentConfig(previous=2, following=1), workers=0,
    )  # fmt: skip
    alone = opened(replace(own, adjacent=AdjacentConfig()))
    for name, split in zip(("train", "val"), own.splits, strict=True):
        FRAMES[name] = list(alone.frames(split))
    return own, replace(own, source=MemoryConfig(NUSCENES, CAMERAS))


def same(value, other):
    if isinstance(value, Boxes3D):
        for name in vars(value):
            torch.testing.assert_close(
                getattr(value, name), getattr(other, name), equal_nan=True, rtol=0, atol=1e-6
            )
    elif isinstance(value, torch.Tensor):
        torch.testing.assert_close(value, other, rtol=0, atol=1e-6)
    else:
        assert value == other


@pytest.mark.parametrize("rate", [1.0, -2.0])
def test_listed_frames_equal_those_of_the_nuscenes_source(both, rate):
    """Frames have adjacent key frames, at normal speed and backwards at twice the speed."""
    own, listed = (opened(data).frames(data.splits[0]) for data in both)
    assert listed.tokens == own.tokens and listed.scenes == own.scenes and len(listed) == 8
    for place in range(8):
        first, second = own.played(place, rate), listed.played(place, rate)
        for name in ("token", "boxes", "global_from_ego"):
            same(getattr(first, name), getattr(second, name))
        for one, other in zip(first.adjacent, second.adjacent, strict=True):
            assert one.name == other.name
            # nuScenes takes times from sample_data, which differ a little from the sample's.
            assert one.seconds == pytest.approx(other.seconds, abs=0.03)
            same(one.ego_from_adjacent, other.ego_from_adjacent)
            for camera, its in zip(one.cameras, other.cameras, strict=True):
                assert (camera.name, camera.path) == (its.name, its.path)
                same(camera.ego_from_camera, its.ego_from_camera)


def test_sampling_folds_and_fractions_equal_those_of_the_nuscenes_source(both):
    own, listed = both
    for settings in ({"fold": "1/3"}, {"fraction": 0.5, "fraction_seed": 4}, {}):
        first, second = (opened(replace(data, **settings)) for data in (own, listed))
        trained = first.training_frames(), second.training_frames()
        assert sorted(trained[0].tokens) == sorted(trained[1].tokens)
        split = first.data.splits[1], second.data.splits[1]
        assert sorted(first.frames(split[0]).tokens) == sorted(second.frames(split[1]).tokens)
    np.testing.assert_array_equal(trained[0].classes_held(5), trained[1].classes_held(5))
    for by in ("frame", "class", "scene"):
        plans = [SamplingConfig(by).build(frames, 1) for frames in trained]
        np.testing.assert_array_equal(plans[0].order(1, 2), plans[1].order(1, 2))


@given(
    gaps=st.lists(st.integers(1, 900_000), min_size=1, max_size=9),
    place=st.integers(0, 8),
    step=st.floats(0.05, 3.0),
    rate=st.sampled_from([1.0, -1.0, 2.0]),
)
def test_seconds_select_the_nearest_frame_in_time(gaps, place, step, rate):
    times = np.cumsum([0, *gaps])
    place = min(place, len(gaps))
    config = AdjacentConfig(2, 1, step, "seconds", (rate,))
    for offset, other in zip(
        config.offsets(rate), neighbours(times, place, config, rate), strict=True
    ):
        away = np.abs(times - (times[place] + round(offset * 1e6)))
        side = times <= times[place] if offset < 0 else times >= times[place]
        assert away[other] == away[side].min()


# The tests below create frames with one camera.


def make(token="one", **settings) -> Frame:
    eye = torch.eye(4, dtype=torch.float64)
    lens = torch.tensor([[50.0, 0, 40], [0, 50, 30], [0, 0, 1]], dtype=torch.float64)
    camera = CameraFrame("a", Path(__file__), (60, 80), lens, eye)
    boxes = Boxes3D.make(torch.ones(2, 3), torch.ones(2, 3), torch.zeros(2))
    return replace(Frame(token, (camera,), boxes), **settings)


def with_camera(**settings) -> Frame:
    (camera,) = make().cameras
    return make(cameras=(replace(camera, **settings),))


def with_boxes(**settings) -> Frame:
    return make(boxes=replace(make().boxes, **settings))


def serve(*frames, **settings):
    return ListedFrames(frames, DataConfig(source=MemoryConfig(), **settings))


def test_a_frame_needs_no_more_than_a_name_and_images():
    frame = serve(Frame("one", make().cameras), Frame("two", make().cameras))
    assert frame.scenes == ["one", "two"] and len(frame[0].boxes) == 0  # each frame is a scene
    assert frame[0].counted(5).shape == (0,) and not frame[0].has_lidar
    assert make().counted(5).tolist() == [True, True]  # without num_points


TILTED = torch.diag(torch.tensor([1.0, 1.0, 1.1, 1.0], dtype=torch.float64))
FAULTS = {
    "gives a str among its frames": lambda: ["one"],
    "token is ''": lambda: [make("")],
    "timestamp is 0.5": lambda: [make(timestamp=0.5)],
    "a camera is a str": lambda: [make(cameras=("a",))],
    "has camera 'a' twice": lambda: [make(cameras=2 * make().cameras)],
    r"has no camera a .data.cameras.; it has b": lambda: [with_camera(name="b")],
    "Frame 'one' occurs twice": lambda: [make(), make()],
    "'two' at 5 us follows 'one' at 5 us": lambda: [
        make("one", scene="s", timestamp=5), make("two", scene="s", timestamp=5)
    ],
    r"Image missing.jpg of frame 'one' .camera a. is missing": lambda: [
        with_camera(path=Path("missing.jpg"))
    ],
    r"size of a is \(60, 80, 3\)": lambda: [with_camera(size=(60, 80, 3))],
    r"intrinsics of a is a tensor of shape \(4, 4\)": lambda: [
        with_camera(intrinsics=torch.eye(4, dtype=torch.float64))
    ],
    "focal lengths above 0": lambda: [with_camera(intrinsics=-make().cameras[0].intrinsics)],
    "ego_from_camera of a is a ndarray": lambda: [with_camera(ego_from_camera=np.eye(4))],
    "ego_from_camera of a .* not orthonormal": lambda: [with_camera(ego_from_camera=TILTED)],
    "global_from_ego is a tensor .* torch.float32": lambda: [make(global_from_ego=torch.eye(4))],
    "global_from_ego is .* not finite": lambda: [make(global_from_ego=TILTED * torch.nan)],
    "boxes are a list": lambda: [make(boxes=[])],
    r"boxes.yaw is .* \(3,\)": lambda: [with_boxes(yaw=torch.zeros(3))],
    "boxes.label is .* torch.float32": lambda: [with_boxes(label=torch.zeros(2))],
    "boxes.label has 2; .* 0 to 1 .cup, plate": lambda: [with_boxes(label=torch.tensor([0, 2]))],
    "boxes.attribute has 1; .* -1 to 0": lambda: [with_boxes(attribute=torch.tensor([1, -1]))],
    r"boxes.size of box 0 is \[0.0, 0.0, 0.0\]; all numbers must be above 0": lambda: [
        with_boxes(size=torch.zeros(2, 3))
    ],
    "num_points is .* it has 2 boxes": lambda: [make(num_points=torch.zeros(3).long())],
}  # fmt: skip


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_of_the_first_frame_is_an_error_at_the_start(no_type_checks, message):
    with pytest.raises(DataError, match=message) as error:
        serve(*FAULTS[message]())
    assert "\n" not in str(error.value)


def test_a_fault_of_a_later_frame_is_found_at_the_start(no_type_checks):
    late = replace(with_boxes(label=torch.tensor([0, 7])), token="late")
    with pytest.raises(DataError, match="'late': boxes.label has 7"):
        serve(make(), late)


def test_missing_splits_are_named(tmp_path, monkeypatch):
    @dataclass(frozen=True)
    class FolderConfig(MemoryConfig):
        def frames(self, data, split):
            return list((data.root / split).iterdir()) if split != "val" else "none"

    source = opened(DataConfig(source=FolderConfig(), root=tmp_path))
    with pytest.raises(DataError, match="cannot read split 'test' .*are train and val"):
        source.frames("test")
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="no frame of split 'train' in .*are train and val"):
        source.training_frames()
    monkeypatch.setattr(FolderConfig, "frames", lambda self, data, split: iter(()))
    with pytest.raises(
        DataError, match="returns a tuple_iterator; return a list or another sequence of Frame"
    ):
        source.frames("val")


def test_the_frames_of_a_split_are_listed_once():
    read = []

    @dataclass(frozen=True)
    class CountingConfig(MemoryConfig):
        def frames(self, data, split):
            read.append(split)
            return [make(f"{split}-{i}", scene=f"{split}-{i}") for i in range(2)]

    source = opened(DataConfig(source=CountingConfig()))
    assert source.frames("val") is source.frames("val")
    source.training_frames()
    assert read == ["val", "train"]
    folds = opened(DataConfig(source=CountingConfig(), fold="0/2"))
    both = [folds.frames(split).tokens for split in folds.data.splits]
    assert sorted(sum(both, [])) == ["train-0", "train-1", "val-0", "val-1"]
    assert read == ["val", "train", "train", "val"]


class NoParts(SourceConfig):
    pass


class ListedLabels(MemoryConfig):
    labels = ["cup"]


PARTS = {
    "source is a str, not a SourceConfig": lambda: DataConfig(source="warehouse"),
    "NoParts does not define its label space": lambda: DataConfig(source=NoParts()),
    "cameras is empty": lambda: DataConfig(source=MemoryConfig(cameras=())),
    "'a' is named twice": lambda: DataConfig(source=MemoryConfig(cameras=("a", "a"))),
    "data.cameras: 'b' is named twice": lambda: DataConfig(cameras=("b", "b")),
    "has no classes": lambda: DataConfig(source=MemoryConfig(LabelSpace())),
    "class 'cup' occurs twice": lambda: LabelSpace(2 * TWO.classes[:1]),
    "data.polygons.layers: 'vehicle' is unknown; known: none": lambda: DataConfig(
        source=MemoryConfig(), polygons=PolygonConfig(("vehicle",))
    ),
    "class_weights: 'car' is unknown; known: cup, plate": lambda: DataConfig(
        source=MemoryConfig(), sampling=SamplingConfig("weight", (("car", 2.0),))
    ),
    "has no sweeps": lambda: serve(make(), adjacent=AdjacentConfig(1, unit="sweeps")),
    "set data.reference to ego": lambda: serve(make(), reference="lidar"),
    "does not define its key frames": lambda: SourceConfig().frames(DataConfig(), "train"),
    "does not define map polygons": lambda: SourceConfig().polygons(DataConfig(), []),
}  # fmt: skip


@pytest.mark.parametrize("message", PARTS)
def test_a_part_that_is_missing_or_named_twice_is_refused(no_type_checks, message):
    with pytest.raises(ConfigError, match=message):
        PARTS[message]()


def test_lidar_is_refused_at_the_start_if_the_source_has_none(monkeypatch):
    monkeypatch.setitem(FRAMES, "train", [make()])
    with pytest.raises(DataError, match="data.lidar is on and MemoryConfig has no lidar"):
        opened(DataConfig(source=MemoryConfig(), lidar=True)).training_frames()


def test_polygons_are_checked(monkeypatch):
    @dataclass(frozen=True)
    class LayersConfig(MemoryConfig):
        def polygons(self, data, frames):
            return lambda frame: Polygons.of_boxes(frame.boxes, frame.timestamp)

    data = DataConfig(source=LayersConfig(NUSCENES), polygons=PolygonConfig(("lane",)))
    samples = KeyFrames([make()], data, training=False)
    assert len(samples.polygons(make())) == 8
    with pytest.raises(DataError, match=r"LayersConfig.polygons gives layers \[99\]"):
        samples.polygons(make(timestamp=99))
