"""The published sample loading gives the same samples as ours; stage times add up to the total."""

import csv
import math
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from commands import ROOT, call
from opened import opened
from torchvision.transforms import v2

from bev.config import load_config
from bev.data.augmentation import ImageAugmentation
from bev.data.dataset import KeyFrames
from bev.data.frame import CameraFrame
from bev.data.images.loading import load_image
from bev.data.settings import DataChoice, DataConfig
from bev.errors import DataError
from bev.geometry import BevGrid, Boxes3D, apply_transform, image_affine
from bev.lab.benchmark import data as benchmark
from bev.lab.benchmark import data_stages, published_data
from bev.lab.benchmark.data_stages import Stopwatch, stage_seconds
from bev.lab.synthetic import WorldConfig
from bev.models.heads.center.targets import center_targets

SIZE = (256, 704)


@pytest.fixture(scope="module")
def world_config(synthetic_world):
    return DataConfig(root=synthetic_world, version="v1.0-synthetic", image_size=(128, 352))


@pytest.fixture(scope="module")
def photograph(synthetic_world, tmp_path_factory):
    """An image of the synthetic world at the size of nuScenes images."""
    path = tmp_path_factory.mktemp("photograph") / "image.jpg"
    made = cv2.imread(str(next(synthetic_world.glob("samples/CAM_FRONT/*.jpg"))))
    cv2.imwrite(str(path), cv2.resize(made, (1600, 900), interpolation=cv2.INTER_CUBIC))
    return path


def agreement(path: Path, steps: published_data.Steps, blur: float) -> float:
    """PSNR (dB) of our image and the published one, where both show the original.

    Both are blurred first. The published rotation turns black corners into the window; ours shows
    the original there.
    """
    theirs, matrix = published_data.load_image(path, steps, SIZE)
    eye = torch.eye(4).double()
    ours = load_image(CameraFrame("", path, (900, 1600), eye[:3, :3], eye), matrix, SIZE)
    turn = image_affine(SIZE, rotation=math.radians(steps.rotation))
    seen = _inside(matrix, (900, 1600), 2 + 3 * blur) & _inside(turn, SIZE, 2 + 3 * blur)
    assert seen.mean() > 0.5
    ours, theirs = (image.permute(1, 2, 0).numpy().astype(float) for image in (ours, theirs))
    if blur:
        ours, theirs = (cv2.GaussianBlur(image, (0, 0), blur) for image in (ours, theirs))
    return 10 * math.log10(255**2 / ((ours - theirs)[seen] ** 2).mean())


def _inside(image_from_source: torch.Tensor, size: tuple[int, int], room: float) -> np.ndarray:
    """Mask of image pixels that come from at least ``room`` pixels within a source of ``size``."""
    y, x = torch.meshgrid(*(torch.arange(s) + 0.5 for s in SIZE), indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)], dim=-1).double()
    places = (pixels @ image_from_source.inverse().T)[..., :2]
    room = room / image_from_source[:2, :2].det().abs().sqrt()
    last = torch.tensor([size[1], size[0]]) - room
    return ((places > room) & (places < last)).all(dim=-1).numpy()


# Nearest-neighbour rotation moves a pixel by up to half a pixel, on average by none.
@pytest.mark.parametrize(
    ("steps", "blur"),
    [
        (published_data.Steps((704, 396), (0, 140), False, 0.0), 0),
        (published_data.Steps((872, 490), (101, 234), True, 0.0), 0),
        (published_data.Steps((704, 396), (0, 140), False, 5.4), 2),
        (published_data.Steps((608, 342), (0, 86), True, -5.4), 2),
    ],
)
def test_the_published_steps_give_our_image(photograph, steps, blur):
    assert agreement(photograph, steps, blur) > 40


def test_the_published_steps_give_our_image_of_real_scenes(nuscenes_root):
    for folder in (nuscenes_root / "samples").glob("CAM_*"):
        path = next(folder.glob("*.jpg"))
        assert agreement(path, published_data.Steps((704, 396), (0, 140), True, 0.0), 0) > 40
        assert agreement(path, published_data.Steps((872, 490), (101, 234), False, 3.0), 2) > 40


@pytest.mark.parametrize("stretch", [1.0, 1.3])
def test_the_published_matrix_is_the_affine_of_its_steps(photograph, stretch):
    rng = np.random.default_rng(0)
    for _ in range(5):
        steps = published_data.draw(ImageAugmentation(stretch=stretch), (900, 1600), SIZE, rng)
        assert 0.37 < steps.resized[0] / 1600 < 0.56 and abs(steps.rotation) <= 5.4
        left, top = steps.corner
        assert 0 <= left <= max(0, steps.resized[0] - 704) and top + 256 == steps.resized[1]
        scale = steps.resized[0] / 1600
        turn = math.radians(steps.rotation)
        expected = image_affine(SIZE, scale, (top, left), steps.flip, turn, stretch)
        _, found = published_data.load_image(photograph, steps, SIZE)
        corners = torch.tensor([[0, 0, 1], [1600, 900, 1.0]]).double()
        # Sizes are whole pixels: height and width are scaled by slightly different factors.
        assert (corners @ (found - expected).T).abs().max() < 1.2


def test_the_published_targets_equal_ours():
    generator = torch.Generator().manual_seed(0)
    count, grid = 60, BevGrid((-30, 42, 0.8), (-20, 28, 0.6), (-5, 3, 8))
    draw = torch.rand(count, 6, generator=generator)
    low, high = torch.tensor([-35.0, -25, -1, 0.3, 0.3, 0.5]), torch.tensor([45.0, 32, 1, 9, 3, 3])
    values = low + (high - low) * draw
    boxes = Boxes3D.make(
        values[:, :3],
        values[:, 3:],
        6 * torch.rand(count, generator=generator) - 3,
        label=torch.randint(-1, 10, (count,), generator=generator),  # in no task: -1, 3 to 6, 8, 9
        attribute=torch.randint(-1, 8, (count,), generator=generator),
    )
    boxes.size[0, :2], boxes.label[0] = 150.0, 2  # longer than the grid
    boxes.center[0, :2] = 3.0
    gt_boxes = [boxes[:40], Boxes3D.empty(), boxes[40:]]
    tasks = [[0], [2, 1], [11]]
    found, published = (
        how(gt_boxes, tasks, grid) for how in (center_targets, published_data.center_targets)
    )
    for labels, ours, theirs in zip(tasks, found, published, strict=True):
        torch.testing.assert_close(theirs.heatmap, ours.heatmap)
        assert torch.equal(theirs.cell, ours.cell)
        assert torch.equal(theirs.attribute, ours.attribute)
        torch.testing.assert_close(theirs.regression, ours.regression, equal_nan=True)
        assert len(ours.cell) > 0 or labels == [11]


def test_a_published_sample_shows_the_same_frame(world_config):
    data = KeyFrames(opened(world_config).frames("synthetic_train"), world_config, training=True)
    ours, theirs = data[0, 1], published_data.load_sample(data, 0, 1)
    assert ours.tokens == theirs.tokens and ours.views.images.shape == theirs.views.images.shape
    assert len(ours.boxes[0]) == len(theirs.boxes[0]) > 0
    # Undo both random augmentations: the boxes are then those of the frame.
    back = [
        apply_transform(batch.bev_from_ego[0].inverse(), batch.boxes[0].center)
        for batch in (ours, theirs)
    ]
    torch.testing.assert_close(*back, atol=1e-4, rtol=1e-4)


def test_a_stopwatch_charges_each_function_with_its_own_time():
    watch = Stopwatch()
    inner = watch.timed("inner", lambda: time.sleep(0.05))
    outer = watch.timed("outer", lambda: (time.sleep(0.02), inner(), inner()))
    begin = time.perf_counter()
    outer()
    taken = time.perf_counter() - begin
    assert watch.seconds["inner"] >= 0.1 and watch.seconds["outer"] >= 0.02
    assert sum(watch.seconds.values()) == pytest.approx(taken, abs=0.005)


def test_every_stage_is_timed_and_the_functions_are_restored(world_config):
    config = replace(
        world_config, image_augmentation=ImageAugmentation(photometric=partial(v2.ColorJitter, 0.3))
    )
    data = KeyFrames(opened(config).frames("synthetic_train"), config, training=True)
    before = [getattr(*place) for place in data_stages.PATH.values()]
    seen = []
    taken = stage_seconds(data, seen.append, [(0, 0), (1, 2)], torch.device("cpu"), seconds=0.0)
    assert set(taken) == {*data_stages.PATH, "rest", "targets", "collate", "transfer"}
    assert all(seconds > 0 for seconds in taken.values())
    assert taken["decode"] > taken["draw"]
    assert [getattr(*place) for place in data_stages.PATH.values()] == before
    assert len(seen) == 4 * 2 and len(seen[0]) == 1


@pytest.mark.slow
def test_without_data_synthetic_images_are_measured(tmp_path, monkeypatch, capsys):
    made = WorldConfig(1, 1, frames_per_scene=2, image_size=(320, 180))
    monkeypatch.setattr(benchmark, "SYNTHETIC", made)
    config = load_config(
        "configs/lss_r50.py",
        ["--data.root", str(tmp_path / "none"), "--data.image-size", "64", "176",
         "--data.batch-size", "2"],
    )  # fmt: skip
    benchmark.run(tmp_path, config, DataChoice(), workers=(0, 1), seconds=0.01)
    printed = capsys.readouterr().out
    assert "measuring on synthetic images" in printed and "6 images of 320x180" in printed
    assert "1.00x" in printed and "1 workers" in printed
    with open(tmp_path / "data.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["name"] for r in rows if r["part"] == "workers"] == ["0 workers", "1 workers"]
    paths = [r["name"] for r in rows if r["part"] == "path"]
    assert paths == [benchmark.PUBLISHED, benchmark.OURS, benchmark.CACHED]
    assert all(float(row["milliseconds"]) > 0 for row in rows)
    if Path("/proc/self/smaps_rollup").is_file():
        assert all(1 < float(r["megabytes"]) < 1e4 for r in rows if r["part"] == "workers")
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_the_data_benchmark_from_the_command_line(synthetic_world, tmp_path):
    out, _ = call(
        "benchmark.py", "data", ROOT / "configs" / "lss_synthetic.py",
        "--data.root", synthetic_world, "--data.version", "v1.0-synthetic",
        "--workers", "0", "--seconds", "0.01",
        "--out", tmp_path, "--batch-size", "1",
    )  # fmt: skip
    assert "6 images of 800x450" in out and "data.csv is written" in out
    assert (tmp_path / "data.csv").read_text().startswith("part,name,milliseconds,megabytes")


def test_a_chosen_root_that_is_missing_is_an_error(tmp_path):
    config = load_config("configs/lss_r50.py", [])
    with pytest.raises(DataError, match="does not exist"):
        benchmark.run(tmp_path, config, DataChoice(root=tmp_path / "none"), (0,), 0.01)
