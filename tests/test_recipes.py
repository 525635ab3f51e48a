"""Every shipped config builds and survives saving; shrunken, it overfits one scene."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from folders import write_folder
from opened import opened
from shrunken import large_cells, shrunken

from bev.config import Experiment, load_file
from bev.data.augmentation import BevAugmentation, ImageAugmentation
from bev.data.dataset import KeyFrames
from bev.data.sampling import SamplingConfig
from bev.data.settings import DataConfig
from bev.evaluation.base import EvaluatedSplit
from bev.evaluation.predict import predict
from bev.lab.benchmark.step import random_batch
from bev.serialization import from_plain, to_plain
from bev.training.checkpoint.loading import load_checkpoint
from bev.training.datamodule import make_loader
from bev.training.run import train
from bev.training.settings import TrainConfig
from bev.training.settings_check import check_settings

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))
each_config = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)

# Configs of which the slow tests take a step. All their parts and switches are also in the others:
# they differ only in how parts are combined, decoded or sampled.
TWINS = {
    "bevdepth_r50", "bevdepth_r50_1key", "bevdepth_r50_2key", "bevdepth_synthetic",
    "bevdet4d_synthetic", "bevdet_r50", "bevdet_r50_cbgs", "bevdet_r50_dev20", "bevdet_r50_dev21",
    "bevdet_r50_first", "folder", "lss_half_synthetic", "lss_r50", "lss_r50_mini", "lss_seg_effb0",
    "lss_seg_synthetic", "lss_synthetic", "multitask_r50", "simplebev_r50",
}  # fmt: skip
# Configs that the fast tests train. The parts of the others are trained by the tests of the parts:
# two frames in models/bev/test_temporal.py, other view transforms in models/view/test_view.py, and
# training from weights in training/test_initialization.py.
TRAINED = {"multitask_synthetic"}


def recipes(fast: Collection[str]):
    """The configs as parameters; those that are not ``fast`` are slow tests."""
    marked = [p if p.stem in fast else pytest.param(p, marks=pytest.mark.slow) for p in CONFIGS]
    return pytest.mark.parametrize("path", marked, ids=lambda path: path.stem)


@each_config
def test_a_recipe_is_valid_and_restored(path):
    config = load_file(path)
    assert from_plain(Experiment, to_plain(config)) == config
    assert len(path.read_text().splitlines()) <= 60
    check_settings(config)


@recipes({p.stem for p in CONFIGS} - TWINS)
def test_a_recipe_makes_a_step(path):
    """Full widths, with small images and a BEV grid of 32x32 cells."""
    config = load_file(path)
    backbone = replace(config.model.backbone, pretrained=False)
    small = replace(
        config,
        model=replace(config.model, backbone=backbone, grid=large_cells(config.model.grid)),
        data=replace(config.data, image_size=(64, 160), batch_size=1),
    )
    torch.manual_seed(0)
    model = small.model.build()
    terms = model.loss(random_batch(small, torch.device("cpu")))
    if "head" in config.model.heads:
        assert set(terms) >= {"heatmap", "regression"}
    assert {name for name in terms if name.startswith("bev_")} == {
        f"bev_{layer}" for layer in config.model.segmentation.layers
    }
    assert ("depth" in terms) == (config.model.depth_supervision.weight > 0)
    sum(terms.values()).backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.fixture(scope="module")
def synthetic_scene(synthetic_config, tmp_path_factory) -> dict:
    """Data settings of two synthetic key frames, for training and evaluation."""
    from bev.lab.synthetic import make_world

    tiny = replace(synthetic_config, train_scenes=1, val_scenes=1, frames_per_scene=2)
    root = make_world(tmp_path_factory.mktemp("made") / "scene", tiny, workers=1, progress=False)
    split = "synthetic_val"
    return dict(root=root, version="v1.0-synthetic", train_split=split, val_split=split)


@pytest.fixture(scope="module")
def scene(request, synthetic_scene) -> dict:
    """Data settings of the real key frame with lidar if available, else of the synthetic scene."""
    try:
        root = request.getfixturevalue("nuscenes_root")
    except pytest.skip.Exception:
        return synthetic_scene
    split = "mini_train"
    return dict(root=root, version="v1.0-mini", train_split=split, val_split=split)


def as_folder(scene: dict, root: Path) -> dict:
    """Data settings of the same scene as a folder of one's own."""
    frames = opened(DataConfig(**scene)).frames(scene["val_split"])
    write_folder(root, scene["root"] / scene["version"], {"train": frames})
    return dict(root=root, train_split="train", val_split="train")


@pytest.mark.slow
@recipes(TRAINED)
def test_a_shrunken_recipe_learns_one_batch_across_a_resume(path, scene, synthetic_scene, tmp_path):
    config = shrunken(load_file(path))
    # Vehicles of the real frame cover four cells: too few to learn segmentation.
    synthetic = path.stem.endswith("_synthetic") or "segmentation" in config.model.heads
    chosen = synthetic_scene if synthetic else scene
    if path.stem == "folder":
        chosen = as_folder(synthetic_scene, tmp_path / "folder_of_ones_own")
    data = replace(
        config.data,
        **chosen,
        sampling=SamplingConfig(),
        drop_cameras=0,
        image_augmentation=ImageAugmentation.off(),
        bev_augmentation=BevAugmentation.off(),
        batch_size=2,
        workers=0,
        image_cache=0.1,  # every step sees the same images
    )
    settings = replace(
        config.train, epochs=60, max_steps=20, lr=5e-3, lr_batch=0, weight_decay=0.0,
        warmup_steps=2, schedule=TrainConfig.schedule, stages=TrainConfig.stages, validate_every=0,
        ema=0.9, ema_start=0, precision="32", runs=tmp_path, run_name="learns",
    )  # fmt: skip
    config = replace(config, data=data, train=settings)
    folder, _ = train(config)
    last = folder / "checkpoints" / "last.ckpt"
    resumed, result = train(replace(config, train=replace(settings, max_steps=40)), resume=last)
    assert resumed == folder
    # The checkpoint reproduces the metrics that training reported.
    saved, model = load_checkpoint(last)
    split = saved.data.val_split
    source = opened(saved.data)
    held = KeyFrames(source.frames(split), saved.data, training=False)
    found = predict(model, make_loader(held), torch.device("cpu"))
    place = EvaluatedSplit(source, split, tmp_path / "again")
    again = found.compute(place).scalars()
    for name in ("mAP", "mIoU"):
        assert again.get(name) == pytest.approx(result.scalars().get(name), abs=1e-6)
        # An untrained network has 0.00; the result of 40 steps also depends on the CPU's rounding.
        assert result.scalars().get(name, 1.0) > 0.05
