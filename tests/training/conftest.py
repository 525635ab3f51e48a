"""A shrunken experiment for tests of training."""

from dataclasses import replace
from pathlib import Path

import pytest

from bev.config import Experiment, load_file
from bev.models import BevEncoderConfig, CenterHeadConfig, DepthBins, FpnConfig
from bev.training.settings import TensorBoardConfig, TrainConfig

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def quick(synthetic_world, tmp_path_factory) -> Experiment:
    """A lss_synthetic shrunk until a step takes a fraction of a second."""
    base = load_file(CONFIGS / "lss_synthetic.py")
    model = replace(
        base.model,
        backbone=replace(base.model.backbone, channels=(8, 8, 16, 16), stem=8),
        neck=FpnConfig(16),
        grid=replace(base.model.grid, x=(-51.2, 51.2, 3.2), y=(-51.2, 51.2, 3.2)),
        view=replace(base.model.view, channels=8, depth=DepthBins(2.0, 58.0, 4.0)),
        encoder=BevEncoderConfig((16, 16, 16), 1, 16, 16),
        head=replace(CenterHeadConfig(), tasks=base.model.head.tasks, shared=16, branch=0),
    )
    data = replace(
        base.data, root=synthetic_world, image_size=(64, 176), batch_size=2,
        cameras=("CAM_FRONT", "CAM_BACK"),
    )  # fmt: skip
    train_config = TrainConfig(
        epochs=2, lr=3e-3, lr_batch=0, warmup_steps=2, ema_start=0, devices=1, threads=1,
        validate_every=1, pictures=1, log_every=1, deterministic=True,
        tensorboard=TensorBoardConfig(graph=False), runs=tmp_path_factory.mktemp("runs"),
    )  # fmt: skip
    return Experiment(model, data, train_config, name="quick")
