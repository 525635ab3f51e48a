"""Before a run begins: training needs a usable box, validation one that counts."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from opened import index_in_memory, opened
from own_data import CAMERAS, VERSION, write_own_data

from bev.config import Experiment
from bev.data.adjacent import AdjacentConfig
from bev.data.frame import Frame
from bev.data.labels import LabelSpace, ObjectClass
from bev.data.nuscenes import source
from bev.data.settings import DataConfig
from bev.data.source import Frames, FrameSource, SourceConfig
from bev.errors import DataError, NoGroundTruthError
from bev.evaluation.base import EvaluatedSplit
from bev.evaluation.evaluation import evaluators
from bev.geometry import Boxes3D
from bev.models import DetectorConfig
from bev.training.data_checks import check_run_data, print_data
from bev.training.datamodule import KeyFrameData
from bev.training.run import train


@pytest.fixture
def root(tmp_path) -> Path:
    return write_own_data(tmp_path / "root")


@pytest.fixture(autouse=True)
def indexes_in_memory(monkeypatch):
    monkeypatch.setattr(source, "open_index", index_in_memory)


def edit(root: Path, table: str, change) -> None:
    path = root / VERSION / f"{table}.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def warnings(data: DataConfig) -> list[str]:
    """Warnings of a run with the default model."""
    config = Experiment(model=DetectorConfig(labels=data.source.labels), data=data)
    frames = KeyFrameData(data, seed=0)
    frames.setup("fit")
    return check_run_data(config, frames)


def printed(data: DataConfig) -> None:
    """Check a run's data and print counts and warnings, as a run does at its start."""
    config = Experiment(model=DetectorConfig(labels=data.source.labels), data=data)
    frames = KeyFrameData(data, seed=0)
    frames.setup("fit")
    print_data(frames, config, check_run_data(config, frames))


def own(root: Path, train: str = "mine_train", val: str = "mine_val", **more) -> DataConfig:
    cameras = tuple(CAMERAS)
    return DataConfig(
        root=root, version=VERSION, cameras=cameras, train_split=train, val_split=val, **more
    )


def keep(scene: str):
    return lambda rows: [row for row in rows if row["sample_token"].startswith(scene)]


def test_sound_data_give_no_warning(root):
    assert warnings(own(root)) == []


def test_training_without_annotations_is_refused(root):
    edit(root, "sample_annotation", keep("scene-b"))
    with pytest.raises(NoGroundTruthError, match=r"'mine_train'.*no ground-truth boxes at all"):
        warnings(own(root))


def test_validation_without_annotations_is_warned_of_and_never_scored_as_0(root, tmp_path):
    edit(root, "sample_annotation", keep("scene-a"))
    data = own(root)
    (warning,) = warnings(data)
    assert "no figures" in warning and "2 samples of split 'mine_val' have no annota" in warning
    boxes = evaluators(DetectorConfig(labels=data.source.labels), data)["head"]
    for frame in opened(data).frames("mine_val"):
        boxes.records[frame.token] = []
    with pytest.raises(NoGroundTruthError):
        boxes.compute(EvaluatedSplit(opened(data), "mine_val", tmp_path))


def test_boxes_of_unknown_points_count_in_the_metrics_as_in_the_devkit(root):
    unknown = {"num_lidar_pts": -1}
    edit(root, "sample_annotation", lambda rows: [
        {**r, **unknown} if r["sample_token"].startswith("scene-b") else r for r in rows
    ])  # fmt: skip
    assert warnings(own(root)) == []
    edit(root, "sample_annotation", lambda rows: [{**r, "num_lidar_pts": 0} for r in rows])
    (warning,) = warnings(own(root, min_points=0))
    assert "No box of split 'mine_val' in" in warning


def test_attributes_of_training_boxes_alone_do_not_stop_a_run(root):
    """They are unknown to the model; the metrics read the validation boxes."""

    def several(scene: str):
        both = {"attribute_tokens": ["moving", "moving"]}
        return lambda rows: [{**r, **both} if r["sample_token"].startswith(scene) else r
                             for r in rows]  # fmt: skip

    edit(root, "sample_annotation", several("scene-a"))
    assert warnings(own(root)) == []
    edit(root, "sample_annotation", several("scene-b"))
    with pytest.raises(DataError, match=r"Split 'mine_val' .*refuse \(several attributes 8\)"):
        warnings(own(root))


def test_counts_of_both_splits_are_printed_and_implausible_cameras_warned_of(root, capsys):
    def raised(rows):
        return [{**row, "translation": [500.0, 0.0, 1500.0]} for row in rows]

    edit(root, "calibrated_sensor", raised)  # millimetres
    edit(root, "sample_annotation", lambda rows: [
        {**r, "num_lidar_pts": 0} if r["token"] == "scene-a-CAM_LEFT-0" else r for r in rows
    ])  # fmt: skip
    printed(own(root))
    out, error = capsys.readouterr()
    counts = out.splitlines()
    assert [line.split(":")[0] for line in counts] == ["mine_train", "mine_val"]
    assert "8 boxes" in counts[0] and "7 used" in counts[0] and "8 used" in counts[1]
    for split in ("mine_train", "mine_val"):
        warning = f"warning: split '{split}': camera below the ground.*CAM_AHEAD: 1500 m"
        assert len(re.findall(warning, error)) == 1, error


@pytest.mark.parametrize(
    ("factor", "text"),
    [(1e-6, "in seconds"), (1e-3, "in milliseconds"), (-1, "whose next one is earlier")],
)
def test_times_that_cannot_be_right_end_the_run_at_its_start(root, factor, text):
    for table in ("sample", "sample_data"):
        edit(root, table, lambda rows: [
            {**row, "timestamp": int(row["timestamp"] * factor)} for row in rows
        ])  # fmt: skip
    with pytest.raises(DataError, match=rf"^Split 'mine_train' of {root}: .*{text}"):
        warnings(own(root))


def test_lidar_of_another_layout_ends_the_run_at_its_start(quick, tmp_path):
    """Through the whole of train(): the folder of the run holds no checkpoint."""
    world = shutil.copytree(quick.data.root, tmp_path / "world", copy_function=os.link)
    for path in (world / "samples" / "LIDAR_TOP").iterdir():
        rows = np.fromfile(path, np.float32).reshape(-1, 5)
        path.unlink()  # a link to the shared world
        np.ascontiguousarray(rows[:, :4]).tofile(path)
    data = replace(quick.data, root=world, lidar=True)
    settings = replace(quick.train, runs=tmp_path / "runs")
    with pytest.raises(DataError, match=r"^Lidar file .* of sample .* rows of (5|4)"):
        train(replace(quick, data=data, train=settings))
    assert not list(tmp_path.rglob("*.ckpt"))


def test_common_and_unknown_scenes_are_warned_of(root):
    splits = {"mine_train": ["scene-a", "scene-c"], "mine_val": ["scene-a", "scene-b"]}
    (root / VERSION / "splits.json").write_text(json.dumps(splits))
    unknown, shared = warnings(own(root))
    assert unknown.startswith("1 scenes of split 'mine_train' do not exist (scene-c)")
    assert shared.startswith("1 of the 2 scenes of split 'mine_val' are also trained on")


class Listed(SourceConfig):
    """Frames in memory by split."""

    def __init__(self, **frames: list[Frame]) -> None:
        object.__setattr__(self, "by_split", frames)

    labels = LabelSpace((ObjectClass("cat"),))
    cameras = ("front",)

    def frames(self, data, split):
        return self.by_split[split]


def boxes(count: int) -> Boxes3D:
    return Boxes3D.make(torch.zeros(count, 3), torch.ones(count, 3), torch.zeros(count),
                        label=torch.zeros(count, dtype=torch.long))  # fmt: skip


@pytest.fixture
def listed(real_like_frame):
    def data(**numbers: list[int]) -> DataConfig:
        """Splits with one frame, whose boxes have the given numbers of points."""
        frames = Listed(**{
            split: [replace(real_like_frame, token=split, scene=split, boxes=boxes(len(points)),
                            num_points=torch.tensor(points, dtype=torch.long))]
            for split, points in numbers.items()
        })  # fmt: skip
        return DataConfig(source=frames)

    return data


@pytest.fixture
def real_like_frame(tmp_path) -> Frame:
    from bev.data.frame import CameraFrame

    (tmp_path / "front.jpg").write_bytes(b"")
    intrinsics = torch.tensor([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]], dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    pose[:3, 3] = torch.tensor([1.0, 0.0, 1.5])
    camera = CameraFrame("front", tmp_path / "front.jpg", (80, 100), intrinsics, pose)
    return Frame("frame", (camera,))


def test_a_source_of_ones_own_is_checked_too(listed):
    assert warnings(listed(train=[0, 3], val=[1])) == []
    with pytest.raises(NoGroundTruthError, match="of 2 boxes 2 are with fewer than 1 lidar"):
        warnings(listed(train=[0, 0], val=[1]))
    with pytest.raises(NoGroundTruthError, match="'train' .* no ground-truth boxes at all"):
        warnings(listed(train=[], val=[1]))
    for points in ([], [0]):
        (warning,) = warnings(listed(train=[1], val=points))
        assert "No box of split 'val' counts in the metrics: " in warning


def test_the_unit_of_times_is_a_warning_without_adjacent_frames(real_like_frame):
    """Velocities are those of the frames; only adjacent frames use times."""
    frames = {
        scene: [
            replace(real_like_frame, token=f"{scene}-{i}", scene=scene, timestamp=500 * i,
                    boxes=boxes(1))
            for i in range(3)
        ]
        for scene in ("train", "val")
    }  # fmt: skip
    data = DataConfig(source=Listed(**frames))
    for split, warning in zip(("train", "val"), warnings(data), strict=True):
        assert warning.startswith(f"split '{split}': times that are no microseconds (key frames")
    with pytest.raises(DataError, match="^Split 'train' of .*times that are no microseconds"):
        warnings(replace(data, adjacent=AdjacentConfig(previous=1)))


def test_frames_without_counts_need_a_class(listed):
    """Frames of one's own that count no boxes are asked for the classes that they hold."""

    class Plain(Frames):
        labels = Listed.labels

        def __init__(self, frames: Frames, held: bool) -> None:
            self.inner, self.held = frames, held

        scene = property(lambda self: self.inner.scene)
        scene_names = property(lambda self: self.inner.scene_names)
        tokens = property(lambda self: self.inner.tokens)

        def take(self, rows):
            return Plain(self.inner.take(rows), self.held)

        def classes_held(self, min_points):
            return self.inner.classes_held(min_points) & self.held

        def played(self, item, rate):
            return self.inner.played(item, rate)

    data, held = listed(train=[1], val=[1]), True

    class Source(FrameSource):
        def frames(self, split):
            return Plain(data.source.__class__.open(data.source, data).frames(split), held)

    class Own(Listed):
        def open(self, data):
            return Source(data)

    replaced = replace(data, source=Own())
    assert warnings(replaced) == []
    held = False
    with pytest.raises(NoGroundTruthError, match="none has enough points"):
        warnings(replaced)
