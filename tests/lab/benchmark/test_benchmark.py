"""Results and measured quantities of the benchmarks; no test asserts a speed."""

import csv
import math
import time

import numpy as np
import pytest
import torch
from shrunken import shrunken

from bev.config import load_config
from bev.geometry import BevGrid
from bev.lab.benchmark import backbones, pooling, step
from bev.lab.benchmark.shapes import SHAPES, Shape
from bev.lab.benchmark.timing import median_seconds, peak_bytes
from bev.lab.benchmark.traffic import count
from bev.lab.benchmark.training import optimizers, tensorboard
from bev.models import DepthBins
from bev.models.winograd import use_winograd
from bev.ops import VoxelPlan

CPU = torch.device("cpu")
SMALL = Shape(
    "small",
    (64, 176),
    16,
    DepthBins(1.0, 21.0, 1.0),
    4,
    BevGrid((-30, 40, 1), (-20, 25, 1), (-5, 3, 8)),
)


def test_the_published_formulations_give_our_result_and_gradients():
    pooling.check(CPU)


def test_the_shapes_of_the_benchmark_are_the_published_ones():
    sizes = [(s.depth.bins, s.image[0] // 16, s.image[1] // 16, s.channels) for s in SHAPES]
    assert sizes == [
        (41, 8, 22, 64), (59, 16, 44, 64), (59, 16, 44, 80), (112, 16, 44, 80), (118, 40, 110, 80),
    ]  # fmt: skip
    assert [s.grid.shape[1:] for s in SHAPES] == [(200, 200), *3 * [(128, 128)], (256, 256)]
    assert SMALL.points(2).shape == (2, 6, 20, 4, 11, 3)


@pytest.mark.long
def test_a_run_writes_a_table_and_a_chart(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(pooling, "SHAPES", (SMALL,))
    rows = pooling.run(tmp_path, (1, 2), CPU, seconds=0.02, memory=1e9)
    assert len(rows) == 12
    with open(tmp_path / "pooling.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["name"] for row in written] == [row.name for row in rows]
    with open(tmp_path / "pooling_traffic.csv", newline="") as file:
        least = list(csv.DictReader(file))
    assert [(row["shape"], row["batch"]) for row in least] == [("small", "1"), ("small", "2")]
    for row in least:
        assert float(row["forward_us"]) == pytest.approx(int(row["forward_bytes"]) / 3e6)
    assert (tmp_path / "pooling.png").stat().st_size > 10_000
    prefix = [row for row in rows if row.name == pooling.PREFIX]
    assert all(row.forward_gain == row.both_gain == 1 for row in prefix)
    assert "prefix sum" in capsys.readouterr().out


def test_formulations_too_large_for_memory_are_left_out():
    rows = list(pooling.measure(SMALL, 1, CPU, seconds=0.1, memory=1e4))
    assert [row.name for row in rows] == ["sparse product", pooling.NEW_PLAN, pooling.OURS]
    assert all(math.isnan(row.both_gain) for row in rows)


def test_memory_traffic_counted_by_hand():
    # Two pixels with three points each; four of these six points lie in two of the six cells.
    grid = BevGrid((0.0, 3.0, 1.0), (0.0, 2.0, 1.0), (0.0, 1.0, 1.0))
    x = torch.tensor([[0.5, 0.5], [0.5, 2.5], [9.0, 9.0]]).view(1, 1, 3, 1, 2)
    points = torch.stack([x, torch.full_like(x, 0.5), torch.full_like(x, 0.5)], dim=-1)
    found = count(VoxelPlan.from_points(points, grid), channels=8, itemsize=2)
    assert (found.inside, found.crowded) == (4, 3)
    # Forward: 4 points of 4 + 4 + 4 bytes, 6 starts, 2 pixels and 6 cells of 8 channels.
    assert found.forward_bytes == 4 * 12 + 6 * 4 + 2 * 8 * 2 + 6 * 8 * 2
    # Backward: the points, 2 starts, 2 cells, 2 pixels twice, 6 depths zeroed, 4 written.
    assert found.backward_bytes == 4 * 12 + 2 * 4 + 2 * 16 + 2 * 2 * 16 + 6 * 4 + 4 * 4
    assert found.gathered_bytes == 4 * 16
    assert found.operations == 3 * 2 * 4 * 8
    assert found.microseconds(1e6) == (found.forward_bytes, found.backward_bytes)


def test_peak_memory_counts_simultaneous_allocations():
    def work():
        first = torch.zeros(100_000)
        second = first + 1
        del first
        return second * 2

    assert 800_000 <= peak_bytes(work, CPU) < 810_000
    assert 1_600_000 <= peak_bytes(lambda: (np.zeros(100_000), work()), CPU) < 1_610_000


@pytest.mark.slow
def test_backbones_are_timed_or_report_why_not(tmp_path, capsys):
    families = {"ResNet": "resnet50", "lite": "tf_efficientnet_lite0", "Inception": "inception_v3"}
    rows = backbones.run(tmp_path, (64, 96), 1, CPU, seconds=0.02, families=families)
    assert [row.cells for row in rows] == ["4x6 2x3", "4x6 2x3", ""]
    assert [row.offset for row in rows] == ["-7.5 -7.5", "+7.5 +7.5", ""]
    assert rows[0].ratio == 1 and rows[1].ratio > 0
    assert rows[0].parameters == 23_508_032  # published: 23.5 M without the classifier
    assert "inception_v3 does not take images of 64x96" in rows[2].fault
    assert rows[2].fault in capsys.readouterr().out
    assert len((tmp_path / "backbones.csv").read_text().splitlines()) == 4


def test_medians_are_taken_over_alternating_calls():
    calls = []

    def slow_at_first():
        calls.append("a")
        time.sleep(0.3 if len(calls) < 3 else 0.02)

    times = median_seconds({"a": slow_at_first, "b": lambda: calls.append("b")}, CPU, rounds=5)
    assert calls[:6] == ["a", "b", "a", "a", "b", "b"]
    assert 0.02 <= times["a"] < 0.3 and times["b"] < 0.02


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "parts", "heads"),
    [
        ("simplebev_synthetic", ["sightings", "sampling"], ["head"]),
        (
            "dual_view_synthetic",
            ["frustum", "plan", "pooling", "sightings", "sampling"],
            ["head"],
        ),
        ("lss_seg_synthetic", ["frustum", "plan", "pooling"], ["segmentation"]),
        ("multitask_synthetic", ["frustum", "plan", "pooling"], ["head", "segmentation"]),
    ],
)
def test_the_parts_of_a_step_are_measured(name, parts, heads):
    config = shrunken(load_config(f"configs/{name}.py", ["--data.batch-size", "1"]))
    stages = step.step_stages(config, CPU, torch.float32, seconds=0.02)
    names = ["backbone", "neck", "view", *parts, "encoder", *heads]
    assert list(stages) == ["step", *names]
    whole = stages["step"]
    assert stages["backbone"].seconds < whole.seconds
    assert all(stage.memory > 0 for stage in stages.values())
    assert stages["backbone"].memory < whole.memory < 1e9
    # All parts but the auxiliary image head and the joining of frames.
    apart = [stages[stage] for stage in names if stage not in parts]
    assert 0 < sum(stage.parameters for stage in apart) <= whole.parameters
    assert whole.parameters == sum(p.numel() for p in config.model.build().parameters())
    assert 0 < sum(stage.flops for stage in apart) <= whole.flops
    assert ", ".join(parts) in step.table(stages)
    rest = {name: stage for name, stage in stages.items() if name not in parts}
    assert len(step.table(rest).splitlines()) == 1 + len(
        rest
    )  # a view transform without known parts


def test_the_limit_of_a_step_is_three_times_its_flops_forward():
    stages = {"step": step.Stage(seconds=2.0, parameters=0, flops=10**9, memory=0)}
    assert step.limit(stages, rate=3e9) == (
        "3 GFLOPs of a step, three times those forward, take 1000 ms at the 3 GFLOPs per second of"
        " a large matrix product; the step runs at 50% of this rate"
    )


def test_winograd_counts_as_the_direct_sum():
    convolution = torch.nn.Conv2d(256, 256, 3, padding=1).requires_grad_(False)
    layers = torch.nn.Sequential(convolution)
    images = torch.zeros(1, 256, 36, 36)
    direct, used = step.flops_of(layers, images), use_winograd(layers)
    with torch.no_grad():
        layers(images)  # transforms the kernel, which is kept
    assert used == 1 and direct == step.flops_of(layers, images) == 2 * 9 * 256 * 256 * 36 * 36


def test_updates_of_optimizers_are_compared_with_fused_adamw(tmp_path, capsys):
    config = shrunken(load_config("lss_synthetic"))
    updates = optimizers.run(tmp_path, config, CPU, seconds=0)
    assert [update.name for update in updates] == list(optimizers.KINDS)
    for update in updates:
        assert update.ratio == pytest.approx(update.milliseconds / updates[0].milliseconds)
    assert len((tmp_path / "optimizer.csv").read_text().splitlines()) == 5
    assert "kernels and matrices that Muon updates" in capsys.readouterr().out


@pytest.mark.slow
def test_the_cost_of_tensorboard_is_shares_of_a_step(tmp_path, capsys):
    config = shrunken(load_config("lss_synthetic"))
    costs = tensorboard.run(tmp_path, config, CPU, torch.float32, seconds=0.01)
    assert [cost.name for cost in costs] == [
        "training step", "gradient norms", "scalars", "histograms", "graph",
    ]  # fmt: skip
    for cost in costs[1:]:
        spread = cost.every * costs[0].milliseconds
        assert cost.share == pytest.approx(cost.milliseconds / spread if spread else 0.0)
    assert len((tmp_path / "tensorboard.csv").read_text().splitlines()) == 6
    assert "together" in capsys.readouterr().out
