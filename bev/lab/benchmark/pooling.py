"""Comparison of our voxel pooling with published formulations: time and memory."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from bev.geometry import BevGrid
from bev.lab.benchmark.published import interval_sum, prefix_sum, scatter_add, sparse_product
from bev.lab.benchmark.records import write_csv
from bev.lab.benchmark.shapes import SHAPES, Shape
from bev.lab.benchmark.timing import copy_bandwidth, median_seconds, peak_bytes
from bev.lab.benchmark.traffic import LeastTime, Traffic, count
from bev.models.view.depth_bins import DepthBins
from bev.ops import VoxelPlan, voxel_pool

OURS, NEW_PLAN, PREFIX = "ours", "ours, new plan", "prefix sum"
_FRUSTUM_COPIES = 6  # maximum number of frustum feature tensors that a formulation holds at once

Pool = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Row:
    """One formulation at one shape and batch size.

    Attributes:
        shape: name of the shape.
        batch: batch size.
        name: name of the formulation.
        forward_ms: median time of the forward pass, milliseconds.
        both_ms: median time of forward and backward pass, milliseconds.
        forward_gain: forward time of the prefix sum divided by this one; NaN if the prefix sum did
            not run.
        both_gain: likewise for forward and backward.
        memory: peak extra memory of forward and backward, divided by that of inputs and outputs;
            tensors only.
        plan_ms: median time of making our plan, milliseconds.
    """

    shape: str
    batch: int
    name: str
    forward_ms: float
    both_ms: float
    forward_gain: float
    both_gain: float
    memory: float
    plan_ms: float


def formulations(points: Tensor, grid: BevGrid, plan: VoxelPlan) -> dict[str, Pool]:
    """All formulations as functions of depth and context; making ``plan`` is not part of them."""
    return {
        PREFIX: partial(prefix_sum, points=points, grid=grid),
        "scatter add": partial(scatter_add, points=points, grid=grid),
        "interval sum": partial(interval_sum, plan=plan, grid=grid),
        "sparse product": partial(sparse_product, plan=plan, grid=grid),
        NEW_PLAN: lambda d, c: voxel_pool(d, c, VoxelPlan.from_points(points, grid)),
        OURS: partial(voxel_pool, plan=plan),
    }


def check(device: torch.device) -> None:
    """Check that all formulations give the same result and gradients, in float64 and float32.

    On a GPU, float32 runs the Triton kernels.

    Raises:
        AssertionError: if a formulation differs; names the formulation.
    """
    grid = BevGrid((-30.0, 40.0, 1.0), (-20.0, 25.0, 1.0), (-5.0, 3.0, 8.0))
    shape = Shape("", (64, 176), 16, DepthBins(1.0, 40.0, 1.0), 12, grid)
    points = shape.points(2).to(device)
    plan = VoxelPlan.from_points(points, grid)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-3)):
        inputs = [t.to(dtype) for t in random_inputs(points, 12)]
        results = {}
        for name, pool in formulations(points, grid, plan).items():
            leaves = [t.clone().requires_grad_() for t in inputs]
            pooled = pool(*leaves)
            results[name] = (pooled, *torch.autograd.grad(pooled.square().sum(), leaves))
        for name, found in results.items():
            for ours, theirs in zip(results[OURS], found, strict=True):
                torch.testing.assert_close(
                    theirs, ours, rtol=tolerance, atol=tolerance, msg=f"{name} differs from ours"
                )


def random_inputs(points: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Random depth (softmax over bins) and context on the device of the points, contiguous."""
    batch, cameras, bins, height, width, _ = points.shape
    generator = torch.Generator().manual_seed(0)
    depth = torch.randn(batch, cameras, bins, height, width, generator=generator).softmax(dim=2)
    context = torch.randn(batch, cameras, channels, height, width, generator=generator)
    return depth.to(points.device), context.to(points.device)


def measure(
    shape: Shape, batch: int, device: torch.device, seconds: float, memory: float
) -> Iterator[Row]:
    """Measure one shape; formulations that would need more than ``memory`` bytes are skipped."""
    points = shape.points(batch).to(device)
    plan = VoxelPlan.from_points(points, shape.grid)
    pools = formulations(points, shape.grid, plan)
    if 4 * points.numel() // 3 * shape.channels * _FRUSTUM_COPIES > memory:
        pools = {name: pools[name] for name in ("sparse product", NEW_PLAN, OURS)}
    depth, context = (t.requires_grad_() for t in random_inputs(points, shape.channels))
    grad = torch.randn_like(voxel_pool(depth, context, plan))

    def forward(pool: Pool) -> None:
        with torch.no_grad():
            pool(depth, context)

    def both(pool: Pool) -> None:
        torch.autograd.grad(pool(depth, context), [depth, context], grad)

    def times(work: Callable[[Pool], None]) -> dict[str, float]:
        works = {name: partial(work, pool) for name, pool in pools.items()}
        return median_seconds(works, device, seconds=seconds)

    forward_seconds, both_seconds = times(forward), times(both)
    plan_work = {"plan": lambda: VoxelPlan.from_points(points, shape.grid)}
    plan_ms = 1e3 * median_seconds(plan_work, device, seconds=seconds)["plan"]
    ends = sum(t.nbytes for t in (depth, context, grad))
    for name, pool in pools.items():
        yield Row(
            shape.name,
            batch,
            name,
            forward_ms=1e3 * forward_seconds[name],
            both_ms=1e3 * both_seconds[name],
            forward_gain=forward_seconds.get(PREFIX, float("nan")) / forward_seconds[name],
            both_gain=both_seconds.get(PREFIX, float("nan")) / both_seconds[name],
            memory=peak_bytes(partial(both, pool), device) / ends,
            plan_ms=plan_ms,
        )


def run(
    out: Path, batches: tuple[int, ...], device: torch.device, seconds: float, memory: float
) -> list[Row]:
    """Measure and print all shapes; write both tables and the chart into ``out``."""
    check(device)
    bandwidth = copy_bandwidth(device)
    print(f"copies at {bandwidth / 1e9:.0f} GB/s (read and written)")
    rows, least = [], []
    for shape in SHAPES:
        for batch in batches:
            measured = list(measure(shape, batch, device, seconds, memory))
            plan = VoxelPlan.from_points(shape.points(batch), shape.grid)
            traffic = count(plan, shape.channels, 4)
            print(describe(shape, batch, measured, traffic, bandwidth))
            rows += measured
            least.append(LeastTime.of(shape.name, batch, traffic))
    write_csv(rows, out / "pooling.csv")
    write_csv(least, out / "pooling_traffic.csv")
    draw(rows, out / "pooling.png")
    return rows


def describe(shape: Shape, batch: int, rows: list[Row], counts: Traffic, bandwidth: float) -> str:
    """Table of the rows of a shape, below its memory traffic and operations.

    Args:
        shape: shape of the pooling.
        batch: batch size.
        rows: results of the formulations.
        counts: memory traffic and operations in float32.
        bandwidth: bandwidth of copies on this device, bytes per second.
    """
    forward, backward = counts.microseconds()
    ours = next(row for row in rows if row.name == OURS)
    reached = counts.forward_bytes / (ours.forward_ms / 1e3) / bandwidth
    lines = [
        f"\n{shape.name}, batch {batch}: {counts.inside} points inside, at most {counts.crowded} in"
        f" a cell; plan {ours.plan_ms:.2f} ms",
        f"forward {counts.forward_bytes / 1e6:.1f} MB, backward"
        f" {counts.backward_bytes / 1e6:.1f} MB, {counts.gathered_bytes / 1e6:.1f} MB gathered"
        f" through the cache each way, {counts.operations / 1e9:.2f} GFLOP; at 3 TB/s memory alone"
        f" takes {forward:.1f} and {backward:.1f} us; our forward pass reaches {reached:.0%} of the"
        " bandwidth of copies",
        f"{'':16} {'forward':>10} {'+ backward':>11} {'gain':>14} {'extra memory':>13}",
    ]
    for row in rows:
        gains = (row.forward_gain, row.both_gain)
        gain = " ".join("-" if math.isnan(g) else f"{g:.0f}x" for g in gains)
        lines.append(
            f"{row.name:16} {row.forward_ms:7.2f} ms {row.both_ms:8.2f} ms {gain:>14}"
            f" {row.memory:12.1f}x"
        )
    return "\n".join(lines)


def draw(rows: list[Row], path: Path) -> None:
    """Bar chart of forward plus backward time on a log scale, by shape, at the smallest batch."""
    least = min(row.batch for row in rows)
    rows = [row for row in rows if row.batch == least]
    names = list(dict.fromkeys(row.name for row in rows))
    shapes = list(dict.fromkeys(row.shape for row in rows))
    figure, axes = plt.subplots(figsize=(11, 4.5), layout="constrained")
    for number, name in enumerate(names):
        bars = [(shapes.index(row.shape), row.both_ms) for row in rows if row.name == name]
        places = [place + (number - (len(names) - 1) / 2) * 0.8 / len(names) for place, _ in bars]
        drawn = axes.bar(places, [ms for _, ms in bars], 0.8 / len(names), label=name)
        axes.bar_label(drawn, fmt=lambda ms: f"{ms:.0f}" if ms >= 100 else f"{ms:.1f}", fontsize=7)
    axes.set_yscale("log")
    axes.set_ylabel(f"forward + backward, ms (batch {least})")
    axes.set_xticks(range(len(shapes)), shapes, fontsize=8)
    axes.legend(ncols=3, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
    plt.close(figure)
