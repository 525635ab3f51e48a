"""Every ready config builds, takes a step at a small image size, and survives being saved."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bev.benchmark.step import random_batch
from bev.config import Experiment, from_plain, load_file, to_plain
from bev.training.run import check_settings

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_recipe_builds_steps_and_is_restored(path):
    config = load_file(path)
    assert from_plain(Experiment, to_plain(config)) == config
    assert len(path.read_text().splitlines()) <= 60
    check_settings(config)
    backbone = replace(config.model.backbone, pretrained=False)
    small = replace(
        config,
        model=replace(config.model, backbone=backbone),
        data=replace(config.data, image_size=(64, 160), batch_size=1),
    )
    torch.manual_seed(0)
    model = small.model.build()
    terms = model.loss(random_batch(small, torch.device("cpu")))
    assert set(terms) >= {"heatmap", "regression"}
    assert ("depth" in terms) == (config.model.depth_weight > 0)
    sum(terms.values()).backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
