"""View transforms behind one interface: selection in configs, flags, and training of each."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from opened import opened

from bev.config import Experiment, load_config, load_file
from bev.data.batch import Batch, collate
from bev.data.dataset import KeyFrames
from bev.models import (
    BevEncoderConfig,
    CenterHeadConfig,
    DepthBins,
    DepthSupervisionConfig,
    DualViewTransformConfig,
    FpnConfig,
    ImageClassHeadConfig,
    LiftSplatConfig,
    VoxelSamplingConfig,
)
from bev.serialization import from_plain, to_plain

CONFIGS = Path(__file__).parents[3] / "configs"
LIFT = LiftSplatConfig(depth=DepthBins(2.0, 58.0, 4.0), channels=8)
Z = (-1.0, 3.0, 2.0)
VIEWS = {
    "lift-splat": LIFT,
    "voxel sampling": VoxelSamplingConfig(z=Z, channels=8),
    "refined": DualViewTransformConfig(lift=LIFT, z=Z),
}


@pytest.fixture(scope="module")
def shrunk(synthetic_world) -> Experiment:
    """lss_synthetic with a coarse grid and narrow layers, without the losses on lift-splat."""
    base = load_file(CONFIGS / "lss_synthetic.py")
    model = replace(
        base.model,
        backbone=replace(base.model.backbone, channels=(8, 8, 16, 16), stem=8),
        neck=FpnConfig(16),
        grid=replace(base.model.grid, x=(-51.2, 51.2, 3.2), y=(-38.4, 38.4, 3.2)),
        encoder=BevEncoderConfig((16, 16, 16), 1, 16, 16),
        head=replace(CenterHeadConfig(), tasks=base.model.head.tasks, shared=16, branch=0),
        depth_supervision=DepthSupervisionConfig(0.0),
        image_head=ImageClassHeadConfig(0.0),
    )
    return replace(base, model=model, data=replace(base.data, root=synthetic_world, lidar=False))


@pytest.fixture(scope="module")
def two_frames(shrunk) -> Batch:
    """A training frame of each of two synthetic scenes."""
    data = replace(shrunk.data, image_size=(64, 176))
    frames = KeyFrames(opened(data).frames(data.splits[0]), data, training=True)
    return collate([frames[0], frames[len(frames) - 1]])


def built(shrunk: Experiment, name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return replace(shrunk.model, view=VIEWS[name]).build()


@pytest.mark.long
@pytest.mark.parametrize("name", list(VIEWS))
def test_each_view_transform_learns_one_batch_from_its_images(shrunk, two_frames, name):
    with torch.no_grad():
        untrained = sum(built(shrunk, "lift-splat").loss(two_frames).values()).item()
    model = built(shrunk, name)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = sum(model.loss(two_frames).values())
        loss.backward()
        optimizer.step()
    assert loss < 0.4 * untrained
    with torch.no_grad():
        images = two_frames.views.images.flip(0)
        exchanged = replace(two_frames, views=replace(two_frames.views, images=images))
        assert sum(model.loss(exchanged).values()) > 1.5 * loss


@pytest.mark.parametrize(
    ("name", "arguments", "changed"),
    [
        (
            "simplebev_synthetic",
            ["--model.view.z", "-2", "4", "1.5", "--model.view.channels", "32"],
            lambda view: VoxelSamplingConfig(z=(-2.0, 4.0, 1.5), channels=32),
        ),
        (
            "dual_view_synthetic",
            ["--model.view.lift.channels", "32"],
            lambda view: replace(view, lift=replace(view.lift, channels=32)),
        ),
    ],
)
def test_a_view_is_chosen_by_the_config_and_overridden_by_flags(name, arguments, changed):
    base = load_file(CONFIGS / f"{name}.py").model.view
    experiment = load_config(CONFIGS / f"{name}.py", arguments)
    assert experiment.model.view == changed(base) != base
    assert from_plain(Experiment, to_plain(experiment)) == experiment
