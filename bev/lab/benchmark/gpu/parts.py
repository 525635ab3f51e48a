"""Measurements of a GPU: its limits, voxel pooling, training steps, and training from files."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from bev.config import Experiment
from bev.data.batch import Batch
from bev.lab.benchmark.data import SYNTHETIC, endless_loader
from bev.lab.benchmark.pooling import random_inputs
from bev.lab.benchmark.shapes import SHAPES, Shape
from bev.lab.benchmark.step import Stage, make_step, step_stages
from bev.lab.benchmark.timing import Work, copy_bandwidth, median_seconds, product_flops
from bev.lab.benchmark.traffic import count
from bev.lab.synthetic import TRAIN_SPLIT, VERSION, make_world
from bev.ops import VoxelPlan, voxel_pool
from bev.ops.voxel_pool import channels_contiguous

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Ceilings:
    """Measured limits of a device.

    Attributes:
        memory: bandwidth of copies larger than the L2 cache, bytes read and written per second.
        cache_bytes: size of the L2 cache, bytes; 0 if unknown.
        flops: FLOPs per second of a large matrix product, by precision.
    """

    memory: float
    cache_bytes: int
    flops: dict[str, float]


@dataclass(frozen=True)
class Pooling:
    """One pooling: time, and the least time of its memory traffic at the bandwidth of copies.

    Attributes:
        shape: name of the shape.
        batch: batch size.
        precision: precision of the context and of the result.
        regime: "L2" if the rows that the forward pass gathers fit in the L2 cache, otherwise
            "memory".
        forward_us: time of the forward pass, microseconds.
        backward_us: time of the backward pass, microseconds.
        forward_fraction: least time of the forward pass divided by its time.
        backward_fraction: likewise for the backward pass.
        gathered: rows read per second in the forward pass, bytes per second.
    """

    shape: str
    batch: int
    precision: str
    regime: str
    forward_us: float
    backward_us: float
    forward_fraction: float
    backward_fraction: float
    gathered: float


@dataclass(frozen=True)
class Step:
    """Training steps of a config on a random batch that stays on the device.

    Attributes:
        batch: batch size.
        precision: numeric precision.
        seconds: time of a step, seconds.
        peak_fraction: FLOPs of the step (three times those of its forward pass) per second, as a
            fraction of the rate of a matrix product in the same precision.
        parts: time of each part of the step, forward and backward, seconds.
    """

    batch: int
    precision: str
    seconds: float
    peak_fraction: float
    parts: dict[str, float]


@dataclass(frozen=True)
class Loading:
    """Training steps on batches of the dataloader, against steps on one batch.

    Attributes:
        batch: batch size.
        precision: numeric precision.
        workers: number of dataloader workers.
        steps_per_second: with the dataloader.
        share: fraction of the time in which steps wait for the dataloader or its transfers.
    """

    batch: int
    precision: str
    workers: int
    steps_per_second: float
    share: float


def ceilings(device: torch.device, size: int = 8192) -> Ceilings:
    """Measure the bandwidth of copies, and products of matrices of ``size`` x ``size``."""
    cache = 0
    if device.type == "cuda":
        cache = torch.cuda.get_device_properties(device).L2_cache_size
    memory = copy_bandwidth(device)
    rates = {}
    for name, dtype in PRECISIONS.items():
        rates[name] = product_flops(device, dtype, size)
    return Ceilings(memory, cache, rates)


def pooling(
    device: torch.device,
    limits: Ceilings,
    shapes: Sequence[Shape] = SHAPES,
    batches: Sequence[int] = (1, 4),
    seconds: float = 2.0,
) -> Iterator[Pooling]:
    """Measure our pooling with a given plan, on tensors laid out as in the view transform."""
    for shape in shapes:
        for batch in batches:
            points = shape.points(batch).to(device)
            plan = VoxelPlan.from_points(points, shape.grid)
            inputs = [channels_contiguous(t) for t in random_inputs(points, shape.channels)]
            for precision, dtype in PRECISIONS.items():
                depth, context = (
                    t.detach().requires_grad_() for t in (inputs[0], inputs[1].to(dtype))
                )
                pooled = voxel_pool(depth, context, plan)
                grad = torch.randn_like(pooled)
                works: dict[str, Work] = {
                    "forward": partial(_forward, depth, context, plan),
                    "backward": partial(
                        torch.autograd.grad, pooled, [depth, context], grad, retain_graph=True
                    ),
                }
                taken = median_seconds(works, device, seconds=seconds)
                traffic = count(plan, shape.channels, context.element_size())
                gathered = traffic.gathered_bytes / taken["forward"]
                least = (
                    traffic.forward_bytes / limits.memory,
                    traffic.backward_bytes / limits.memory,
                )
                yield Pooling(
                    shape.name,
                    batch,
                    precision,
                    "L2" if context.nbytes <= limits.cache_bytes else "memory",
                    1e6 * taken["forward"],
                    1e6 * taken["backward"],
                    least[0] / taken["forward"],
                    least[1] / taken["backward"],
                    gathered,
                )


@torch.no_grad()
def _forward(depth: torch.Tensor, context: torch.Tensor, plan: VoxelPlan) -> None:
    voxel_pool(depth, context, plan)


def training(
    config: Experiment,
    device: torch.device,
    limits: Ceilings,
    batch: int,
    precision: str,
    seconds: float,
) -> Step:
    """Measure a training step and its parts on a random batch."""
    config = replace(config, data=replace(config.data, batch_size=batch))
    parts: dict[str, Stage] = step_stages(config, device, PRECISIONS[precision], seconds)
    step = parts.pop("step")
    fraction = 3 * step.flops / step.seconds / limits.flops[precision]
    times = {name: part.seconds for name, part in parts.items()}
    return Step(batch, precision, step.seconds, fraction, times)


def loading(
    config: Experiment, device: torch.device, batch: int, precision: str, seconds: float
) -> Loading:
    """Measure training steps on batches of the dataloader, from synthetic images on the disk.

    The time without loading is that of steps on one of these batches, which stays on the device.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = make_world(Path(folder) / "synthetic", SYNTHETIC)
        data = replace(
            config.data, root=root, version=VERSION, train_split=TRAIN_SPLIT, batch_size=batch,
            image_cache=0.0,
        )  # fmt: skip
        frames = data.source.open(data).frames(data.train_split)
        loader = endless_loader(frames, data)
        _, step = make_step(replace(config, data=data), device, PRECISIONS[precision])
        batches = iter(loader)
        # Skip the batches that the workers prepare before the clock starts.
        for _ in range(2 * loader.num_workers + 1):
            kept = next(batches).to(device)

        def seconds_a_step(next_batch: Callable[[], Batch]) -> float:
            step(next_batch())
            _wait(device)
            number, begin = 0, time.perf_counter()
            while number < 3 or time.perf_counter() - begin < seconds / 2:
                step(next_batch())
                number += 1
            _wait(device)
            return (time.perf_counter() - begin) / number

        loaded = seconds_a_step(lambda: next(batches).to(device, non_blocking=True))
        alone = seconds_a_step(lambda: kept)
        del batches
    return Loading(batch, precision, loader.num_workers, 1 / loaded, max(0.0, 1 - alone / loaded))


def _wait(device: torch.device) -> None:
    """Wait for work that a GPU has not finished."""
    if device.type == "cuda":
        torch.cuda.synchronize()
