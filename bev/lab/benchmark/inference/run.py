"""Latency of the variants of a detector, in one run: alternating, at several batch sizes."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import torch

from bev.data.batch import Batch
from bev.lab.benchmark.inference.chart import draw
from bev.lab.benchmark.inference.exported import Outputs
from bev.lab.benchmark.inference.stages import timed
from bev.lab.benchmark.inference.variants import Name, Variant, choose
from bev.lab.benchmark.records import write_csv
from bev.lab.benchmark.timing import Work, each_seconds
from bev.lab.deploy.int8 import Feeds
from bev.models import Detector

_HEADER = ("variant", "batch", "ms", "p10", "p90", "p99", "samples/s", "speed", "apart")


@dataclass(frozen=True)
class Latency:
    """Time of a prediction, from images in the memory of the device to boxes.

    Attributes:
        variant: way to run the detector, see ``variants``.
        batch: samples of a prediction.
        device: "cpu" or name of the GPU.
        threads: CPU threads.
        rounds: number of measured predictions.
        p10_ms, p50_ms, p90_ms, p99_ms: percentiles, milliseconds.
        samples_per_second: batch size over the median.
        speed: median over the rounds of the time of the first variant over that of this one.
        apart: largest difference of a raw output of a head from that of the first variant, as a
            share of the largest absolute value of this output; with flip test-time augmentation of
            the averaged output. Graphs have the outputs of the detection head alone.
    """

    variant: str
    batch: int
    device: str
    threads: int
    rounds: int
    p10_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    samples_per_second: float
    speed: float
    apart: float


@dataclass(frozen=True)
class StageTime:
    """Median time of a stage of a prediction, see ``stages.timed``; ``load`` is data loading.

    Attributes:
        variant: way to run the detector.
        batch: samples of a prediction.
        stage: name of the stage.
        ms: milliseconds.
    """

    variant: str
    batch: int
    stage: str
    ms: float


def run(
    out: Path,
    model: Detector,
    heads: Sequence[str],
    batch_of: Callable[[int], Batch],
    batches: Sequence[int],
    names: Sequence[Name],
    seconds: float,
    feeds: Feeds | None = None,
) -> tuple[list[Latency], list[StageTime]]:
    """Measure all variants at all batch sizes; writes model.csv, model_stages.csv and model.png.

    Args:
        out: output folder.
        model: detector in evaluation mode on its device.
        heads: names of the heads that prepared variants compute.
        batch_of: function that makes a batch of a number of samples, on the CPU.
        batches: numbers of samples.
        names: names of the variants, the base of comparisons first.
        seconds: time limit of the measurement at each batch size, seconds; half of it for stages.
        feeds: images of calibration frames for INT8; None for those of the batch.
    """
    latencies: list[Latency] = []
    stages: list[StageTime] = []
    print("  ".join(f"{name:>{_width(name)}}" for name in _HEADER), flush=True)
    for size in batches:
        load = partial(batch_of, size)
        loading = each_seconds({"load": load}, torch.device("cpu"), 9, 1.0)["load"]
        batch = load().to(next(model.parameters()).device)
        variants, left_out = choose(model, heads, batch, names, torch.get_num_threads(), feeds)
        for row in _latencies(variants, batch, seconds):
            latencies.append(row)
            print(_line(row), flush=True)
        for name, reason in left_out.items():
            print(f"{name:>16}  left out: {reason}", flush=True)
        stages.append(StageTime("", size, "load", 1e3 * _median(loading)))
        stages += _stages([v for v in variants if v.model is not None], batch, seconds / 2)
    if latencies:
        write_csv(latencies, out / "model.csv")
        write_csv(stages, out / "model_stages.csv")
        draw(latencies, stages, out / "model.png")
    return latencies, stages


def _latencies(variants: Sequence[Variant], batch: Batch, seconds: float) -> Iterator[Latency]:
    """Measure alternating predictions of the variants; compares them with the first one."""
    if not variants:
        return
    device = batch.bev_from_ego.device
    label = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    works: dict[str, Work] = {v.name: partial(v.predict, batch) for v in variants}
    times = each_seconds(works, device, rounds=200, seconds=seconds)
    base = times[variants[0].name]
    for variant in variants:
        own = times[variant.name]
        p10, p50, p90, p99 = (
            1e3 * float(torch.tensor(own).double().quantile(q)) for q in (0.1, 0.5, 0.9, 0.99)
        )
        yield Latency(
            variant.name, len(batch), label, torch.get_num_threads(), len(own), p10, p50, p90, p99,
            samples_per_second=1e3 * len(batch) / p50,
            speed=_median([b / t for b, t in zip(base, own, strict=True)]),
            apart=apart(variant.outputs, variants[0].outputs),
        )  # fmt: skip


def apart(found: Outputs, expected: Outputs) -> float:
    """Largest difference of the outputs that both have, each relative to its largest value."""
    largest = 0.0
    for name in found.keys() & expected.keys():
        for one, other in zip(found[name], expected[name], strict=True):
            if isinstance(one, torch.Tensor) and one.numel():
                difference = (one.float() - other.float()).abs().max()
                scale = other.float().abs().max().clamp(min=1e-12)
                largest = max(largest, float(difference / scale))
    return largest


def _stages(variants: Sequence[Variant], batch: Batch, seconds: float) -> list[StageTime]:
    """Median time of each stage of each variant; the variants alternate."""
    spent: dict[tuple[str, str], list[float]] = defaultdict(list)

    def staged(variant: Variant) -> None:
        with timed(cast(Detector, variant.model)) as stages:
            variant.predict(batch)
        for stage, taken in stages.items():
            spent[variant.name, stage].append(taken)

    works: dict[str, Work] = {v.name: partial(staged, v) for v in variants}
    each_seconds(works, torch.device("cpu"), rounds=20, seconds=seconds, least=1)
    return [
        StageTime(name, len(batch), stage, 1e3 * _median(taken))
        for (name, stage), taken in spent.items()
    ]


def _median(values: Sequence[float]) -> float:
    return float(torch.tensor(values).double().quantile(0.5))


def _width(name: str) -> int:
    return 16 if name == "variant" else 9


def _line(row: Latency) -> str:
    numbers = [row.p50_ms, row.p10_ms, row.p90_ms, row.p99_ms]
    cells = [f"{row.variant:>16}", f"{row.batch:>9}", *(f"{number:9.1f}" for number in numbers)]
    cells += [f"{row.samples_per_second:9.2f}", f"{row.speed:8.2f}x", f"{row.apart:9.1e}"]
    return "  ".join(cells)
