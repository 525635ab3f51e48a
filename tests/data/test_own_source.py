"""The example data source of docs/examples: files, batches and commands."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from commands import ROOT, ablate, call
from opened import opened
from warehouse import CAMERAS, FRAMES, SPEED, write_warehouse

from bev.config import Experiment, load_file
from bev.data.adjacent import AdjacentConfig
from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.data.polygons import PolygonConfig
from bev.data.sampling import SamplingConfig
from bev.data.settings import DataConfig
from bev.errors import ConfigError
from bev.geometry import BevGrid, covered
from bev.serialization import from_plain, to_plain

EXAMPLE = ROOT / "docs" / "examples" / "warehouse.py"
SOURCE = EXAMPLE.with_name("warehouse_source.py")
TINY = [
    "--model.backbone.name", "resnet10t", "--model.backbone.no-pretrained",
    "--model.backbone.channels", "8", "8", "16", "16", "--model.backbone.stem", "8",
    "--model.neck.channels", "16", "--model.view.channels", "8",
    "--model.view.depth-net.hidden", "0", "--model.view.depth.step", "1.25",
    "--model.encoder.stages", "16", "16", "16", "--model.encoder.neck", "16",
    "--model.encoder.channels", "16", "--model.head.shared", "16", "--model.head.branch", "8",
    "--model.grid.x", "-12.8", "12.8", "0.8", "--model.grid.y", "-12.8", "12.8", "0.8",
    "--data.image-size", "96", "160", "--data.batch-size", "2", "--data.workers", "0",
    "--train.epochs", "1", "--train.pictures", "1", "--train.threads", "1",
    "--train.precision", "32", "--train.devices", "1",
    "--train.schedule", "ConstantLR(factor=1.0)",
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_warehouse(tmp_path_factory.mktemp("warehouse"))


@pytest.fixture(scope="module")
def data(root) -> DataConfig:
    config = load_file(EXAMPLE).data
    return replace(config, root=root, image_size=(96, 160), batch_size=2, workers=0)


def test_the_example_is_short():
    assert len(SOURCE.read_text().splitlines()) <= 100


def test_batches_have_five_cameras_of_two_sizes(data):
    source = opened(data)
    frames = source.training_frames()
    assert len(frames) == 3 * FRAMES and set(frames.scenes) == {"aisle-1", "aisle-2", "aisle-3"}
    assert [camera.name for camera in frames[0].cameras] == list(CAMERAS)
    assert len({camera.size for camera in frames[0].cameras}) == 2
    batch = collate([KeyFrames(frames, data, training=True)[i] for i in (0, 5)])
    assert batch.views.images.shape == (2, 5, 3, 96, 160)
    assert [len(boxes) for boxes in batch.boxes] == [9, 9]  # without num_points
    assert len(batch.lidar[0]) == 0
    assert source.frames("val").tokens == [f"aisle-4-{i:03d}" for i in range(FRAMES)]


def test_boxes_project_onto_objects_of_their_colour(data):
    """Workers are blue, and so is the pixel at the projected centre of the nearest one."""
    seen = 0
    for frame in opened(data).frames("val"):
        workers = frame.boxes[frame.boxes.label == 2]
        nearest = workers.center[workers.center.norm(dim=1).argmin()].double()
        images = KeyFrames([frame], data, training=False)[0].views
        points = nearest.float().view(1, 1, 1, 3).expand(1, 5, 1, 3)
        pixels, depth = images.cameras.project(points)
        for camera in range(5):
            x, y = pixels[0, camera, 0].tolist()
            if depth[0, camera, 0] > 0.5 and 3 < x < 157 and 3 < y < 93:
                red, _, blue = images.images[0, camera, :, int(y), int(x)].tolist()
                seen += blue > red + 30
    assert seen >= 2


def test_cameras_are_chosen_and_dropped(data):
    some = replace(data, cameras=("right", "front"), drop_cameras=1)
    frames = opened(some).training_frames()
    assert [camera.name for camera in frames[0].cameras] == ["right", "front"]
    assert KeyFrames(frames, some, training=True)[0].views.images.shape[1] == 1
    with pytest.raises(ConfigError, match="of 5 cameras 0 to 4 can be dropped"):
        replace(data, drop_cameras=5)


@pytest.mark.parametrize("unit", ["key_frames", "seconds"])
def test_adjacent_frames_are_half_a_second_and_half_a_metre_apart(data, unit):
    step = 1.0 if unit == "key_frames" else 0.5
    moving = replace(data, adjacent=AdjacentConfig(1, 1, step, unit), cameras=("left", "front"))
    frames = opened(moving).frames("val")
    before, after = frames[1].adjacent
    assert (before.name, after.name) == ("aisle-4-000", "aisle-4-002")
    assert (before.seconds, after.seconds) == (-0.5, 0.5)
    way = torch.tensor([0.5 * SPEED, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(after.ego_from_adjacent[:3, 3], way, atol=1e-9, rtol=0)
    assert [camera.name for camera in after.cameras] == ["left", "front"]
    assert frames[0].adjacent[0].seconds == 0  # the scene has no earlier frame
    batch = KeyFrames(frames, moving, training=False)[1]
    assert [views.images.shape[1] for views in batch.adjacent] == [2, 2]


def test_classes_are_balanced(data):
    """Forklifts are in two of three scenes, whose frames are visited more often."""
    frames = opened(data).training_frames()
    held = frames.classes_held(1)
    assert held.sum(axis=0).tolist() == [12, 8, 12]
    plan = SamplingConfig("class").build(frames, 1)
    visits = np.bincount(plan.order(0, 0), minlength=12)
    assert visits[:8].mean() > visits[8:].mean()
    weighted = SamplingConfig("weight", (("forklift", 3.0),)).build(frames, 1)
    assert weighted.units[0] == pytest.approx(4 * weighted.units[-1], rel=1e-4)


def test_folds_divide_the_scenes_of_both_splits(data):
    scenes = []
    for k in range(2):
        fold = replace(data, fold=f"{k}/2")
        source = opened(fold)
        train, val = source.training_frames(), source.frames(fold.splits[1])
        assert not set(train.scenes) & set(val.scenes) and len(train) + len(val) == 4 * FRAMES
        scenes += sorted(set(val.scenes))
    assert sorted(scenes) == ["aisle-1", "aisle-2", "aisle-3", "aisle-4"]
    third = opened(replace(data, fraction=0.34)).training_frames()
    assert len(third) == FRAMES


def test_the_floor_below_pallets_is_segmented(data):
    segmented = replace(data, polygons=PolygonConfig(("stored",)))
    frames = opened(segmented).frames("val")
    batch = KeyFrames(frames, segmented, training=False)[0]
    grid = BevGrid(x=(-12.8, 12.8, 0.1), y=(-12.8, 12.8, 0.1))
    cells = covered(batch.polygons, [0], grid).sum().item()
    pallets = int((frames[0].boxes.label == 0).sum())
    assert cells * 0.01 == pytest.approx(pallets * 1.2 * 0.8, rel=0.15)


def test_the_source_is_saved_by_name_with_its_settings(data):
    config = Experiment(data=replace(data, source=replace(data.source, every=2)))
    plain = to_plain(config)
    assert plain["data"]["source"] == {"type": "WarehouseConfig", "every": 2}
    assert from_plain(Experiment, plain) == config
    assert len(opened(config.data).training_frames()) == 3 * FRAMES / 2


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    """A run of two steps, and its arguments."""
    runs = tmp_path_factory.mktemp("runs")
    arguments = [EXAMPLE, "--data.root", root, *TINY, "--train.runs", runs]
    call("train.py", *arguments, "--train.run-name", "own", "--train.max-steps", "2")
    return runs / "warehouse" / "own", arguments


@pytest.mark.long
def test_the_source_trains_and_resumes(trained):
    folder, arguments = trained
    assert "type: WarehouseConfig" in (folder / "config.yaml").read_text()
    assert (folder / "evaluation" / "val").is_dir()
    last = folder / "checkpoints" / "last.ckpt"
    more = [*arguments, "--train.run-name", "own", "--train.max-steps", "4"]
    call("train.py", *more, "--resume", last)
    assert json.loads((folder / "run.json").read_text())["steps"] == 4


@pytest.mark.long
def test_the_source_is_evaluated_and_visualized(trained, tmp_path):
    best = trained[0] / "checkpoints" / "best.ckpt"
    out, _ = call("evaluate.py", best, "--out", tmp_path / "scores", "--import", SOURCE)
    for name in ("pallet", "forklift", "worker"):
        assert name in out
    assert "mAP" in out and "NDS" not in out
    call("visualize.py", best, "--samples", "1", "--out", tmp_path / "drawn", "--import", SOURCE)
    call("visualize.py", EXAMPLE, "--data.root", trained[1][2], "--check", "--samples", "1",
         "--out", tmp_path / "drawn")  # fmt: skip
    assert len(list((tmp_path / "drawn").glob("*.png"))) == 2


@pytest.mark.slow
def test_the_source_is_ablated(trained, tmp_path):
    arguments = trained[1][:-2]  # without --train.runs
    table = ablate([*arguments, "--train.max-steps", "1", "--train.pictures", "0"],
                   "train.lr=1e-3,2e-3", tmp_path, "--resample", "scenes")  # fmt: skip
    assert table.count("| 1/1 |") == 2 and "2e-3" in table
    assert "Δ mAP" in table and "NDS" not in table


@pytest.mark.slow
def test_the_source_trains_with_folds_class_sampling_and_segmentation(trained, tmp_path):
    call("train.py", *trained[1][:-2], "--train.runs", tmp_path, "--train.run-name", "own",
         "--train.max-steps", "1", "--data.fold", "1/2", "--data.sampling.by", "class",
         "--data.polygons.layers", "stored", "--model.segmentation.layers", "stored")  # fmt: skip
    figures = (tmp_path / "warehouse" / "own" / "metrics.csv").read_text()
    assert "val/IoU_stored" in figures and "val/mAP" in figures
    assert (tmp_path / "warehouse" / "own" / "evaluation" / "fold1of2").is_dir()
