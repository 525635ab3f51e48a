"""The benchmark of a GPU, on the CPU with small shapes; and without a GPU."""

import json
from dataclasses import replace

import pytest
import torch
from commands import ROOT, SMALL, call

from bev.config import load_config
from bev.geometry import BevGrid
from bev.lab.benchmark.gpu import parts as gpu_parts
from bev.lab.benchmark.gpu import run as gpu
from bev.lab.benchmark.shapes import Shape
from bev.lab.synthetic import WorldConfig
from bev.models.view.depth_bins import DepthBins

CPU = torch.device("cpu")
TINY = Shape("tiny", (64, 176), 16, DepthBins(1.0, 40.0, 1.0), 12, BevGrid())


@pytest.mark.slow
def test_times_are_compared_with_the_measured_limits(tmp_path, monkeypatch):
    limits = gpu_parts.ceilings
    monkeypatch.setattr(gpu, "ceilings", lambda device: limits(device, 64))
    pooling = gpu_parts.pooling
    monkeypatch.setattr(
        gpu, "pooling", lambda device, limits, seconds: pooling(device, limits, [TINY], [1], 0.0)
    )
    monkeypatch.setattr(gpu_parts, "SYNTHETIC", WorldConfig(1, 1, 2, image_size=(160, 90)))
    config = load_config(ROOT / "configs" / "lss_synthetic.py", SMALL)
    config = replace(config, data=replace(config.data, workers=0))
    gpu.run(tmp_path, config, CPU, [1], 0.0)
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert record["machine"]["torch"] == str(torch.__version__)
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
