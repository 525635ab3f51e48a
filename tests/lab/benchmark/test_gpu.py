"""The benchmark of a GPU, on the CPU with small shapes; and without a GPU."""

import json
from dataclasses import replace
from importlib import metadata

import pytest
import torch
from commands import ROOT, SMALL, call

from bev.config import load_config
from bev.geometry import BevGrid
from bev.lab.benchmark.gpu import parts as gpu_parts
from bev.lab.benchmark.gpu import run as gpu
from bev.lab.benchmark.shapes import Shape
from bev.lab.benchmark.step import Stage
from bev.lab.benchmark.traffic import count
from bev.lab.synthetic import WorldConfig
from bev.models.view.depth_bins import DepthBins
from bev.ops import VoxelPlan

CPU = torch.device("cpu")
TINY = Shape("tiny", (64, 176), 16, DepthBins(1.0, 40.0, 1.0), 12, BevGrid())


def test_times_are_compared_with_the_measured_limits(monkeypatch):
    """Least times and shares worked out from given times, bandwidth and rates."""
    times = {"forward": 2e-3, "backward": 4e-3}
    monkeypatch.setattr(gpu_parts, "median_seconds", lambda works, device, seconds: times)
    limits = gpu_parts.Ceilings(memory=1e9, cache_bytes=10**9, flops={"float32": 8e9, "bf16": 1.0})
    single, half = gpu_parts.pooling(CPU, limits, [TINY], [2])
    plan = VoxelPlan.from_points(TINY.points(2), TINY.grid)
    for row, size in ((single, 4), (half, 2)):
        traffic = count(plan, 12, size)
        assert (row.forward_us, row.backward_us) == (2000, 4000) and row.regime == "L2"
        assert row.forward_fraction == pytest.approx(traffic.forward_bytes / 1e9 / 2e-3)
        assert row.backward_fraction == pytest.approx(traffic.backward_bytes / 1e9 / 4e-3)
        assert row.gathered == pytest.approx(int(plan.cell_start[-1]) * 12 * size / 2e-3)
    stages = {"step": Stage(0.5, 1, 10**9, 0), "head": Stage(0.1, 1, 1, 0)}
    monkeypatch.setattr(gpu_parts, "step_stages", lambda *_: stages)
    step = gpu_parts.training(load_config(ROOT / "configs" / "lss_synthetic.py"), CPU, limits, 3,
                              "float32", 0.0)  # fmt: skip
    # Three forward passes of 1 GFLOP in half a second, of 8 GFLOP/s.
    assert step.peak_fraction == pytest.approx(0.75) and step.parts == {"head": 0.1}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lss_synthetic", "bevdet4d_synthetic"])
def test_every_part_is_measured(name, tmp_path, monkeypatch):
    limits = gpu_parts.ceilings
    monkeypatch.setattr(gpu, "ceilings", lambda device: limits(device, 64))
    pooling = gpu_parts.pooling
    monkeypatch.setattr(
        gpu, "pooling", lambda device, limits, seconds: pooling(device, limits, [TINY], [1], 0.0)
    )
    monkeypatch.setattr(gpu_parts, "SYNTHETIC", WorldConfig(1, 1, 2, image_size=(160, 90)))
    config = load_config(ROOT / "configs" / f"{name}.py", SMALL)
    config = replace(config, data=replace(config.data, workers=0))
    gpu.run(tmp_path, config, CPU, [1], 0.0)
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert record["machine"]["torch"] == metadata.version("torch")
    assert min(record["ceilings"]["memory"], *record["ceilings"]["flops"].values()) > 0
    single, half = record["pooling"]
    assert single["shape"] == "tiny" and half["precision"] == "bf16"
    for row in (single, half):
        assert row["forward_us"] > 0 and 0 < row["backward_fraction"] < 100
        assert row["regime"] == "memory"  # no L2 cache is known here
    step, _ = record["steps"]
    assert step["batch"] == 1 and {"backbone", "pooling", "head"} <= step["parts"].keys()
    assert sum(step["parts"][name] for name in ("backbone", "head")) < 3 * step["seconds"]
    assert record["loading"]["workers"] == 0 and 0 <= record["loading"]["share"] <= 1
    assert record["loading"]["steps_per_second"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is at hand")
def test_without_a_gpu_the_command_names_the_others(tmp_path):
    _, error = call("benchmark.py", "gpu", "--out", tmp_path, code=1)
    assert "needs a CUDA device" in error and "benchmark pooling" in error
