"""Compiled parts compared with plain ones.

Run by ``test_compiled.py`` without the tests' run-time type checks, which cannot be traced.
"""

import copy
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from bev.config import load_file
from bev.lab.benchmark.step import random_batch
from bev.lab.synthetic import PRESETS, make_world
from bev.models import BevEncoderConfig, CenterHeadConfig, DepthBins, FpnConfig
from bev.training import module
from bev.training.checkpoint.loading import load_checkpoint
from bev.training.module import compile_parts
from bev.training.record import RunRecord
from bev.training.run import train
from bev.training.settings import TrainConfig

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def config():
    """A shrunken lss_synthetic."""
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
    return replace(base, model=model, data=replace(base.data, image_size=(64, 176), batch_size=2))


def built(config):
    torch.manual_seed(0)
    return config.model.build().train()


def step(model, batch):
    loss = sum(model.loss(batch).values())
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    return {"loss": loss.detach(), **gradients, **dict(model.named_buffers())}


def close(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-4, atol=1e-5, msg=name)


def test_a_compiled_step_equals_a_plain_one(config):
    """Names stay the same, and a copy, as for averaged weights, computes with its own weights."""
    batch = random_batch(config, torch.device("cpu"))
    plain, compiled = built(config), built(config)
    traced = []

    def backend(graph, inputs):
        traced.append(graph)
        return graph.forward

    compile_parts(compiled, backend)
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    close(step(plain, batch), step(compiled, batch))
    assert len(traced) >= 4
    twin = copy.deepcopy(compiled)
    with torch.no_grad():
        for p in twin.parameters():
            p.zero_()
        assert not twin(batch).heads["head"][0].heatmap.any()
    assert any(p.any() for p in compiled.parameters())


@pytest.mark.slow
def test_a_compiled_run_averages_evaluates_resumes_and_loads(config, tmp_path, monkeypatch):
    """Weights, metrics and the checkpoint's names equal those of a plain run."""
    monkeypatch.setattr(module, "compile_parts", partial(compile_parts, backend="aot_eager"))
    world = replace(PRESETS["tiny"], train_scenes=1, val_scenes=1, frames_per_scene=4)
    make_world(tmp_path / "world", world, progress=False)
    data = replace(config.data, root=tmp_path / "world", batch_size=2, workers=0)
    fields = TrainConfig(
        epochs=2, lr=1e-3, lr_batch=0, warmup_steps=2, ema_start=0, devices=1, threads=1,
        pictures=1, log_every=1, runs=tmp_path, precision="32",
    )  # fmt: skip

    def trained(name, resume=None, **changed):
        own = replace(config, data=data, train=replace(fields, run_name=name, **changed))
        folder, metrics = train(own, resume)
        return folder, metrics, RunRecord.read(folder)

    folder, metrics, record = trained("plain")
    first, _, _ = trained("compiled", compile=True, max_steps=2)
    last = first / "checkpoints" / "last.ckpt"
    again, ours, our_record = trained("compiled", compile=True, resume=last)
    assert again == first and our_record.flops == record.flops
    assert ours.scalars() == pytest.approx(metrics.scalars(), abs=1e-3, nan_ok=True)
    pair = [load_checkpoint(f / "checkpoints" / "last.ckpt")[1] for f in (folder, again)]
    close(*(model.state_dict() for model in pair))
