"""Benchmark of a GPU: pooling against the bandwidth of copies, training steps, and data loading.

Everything is measured in one process on random inputs, or on synthetic images of nuScenes' size.
Ceilings are measured too: the bandwidth of copies and the rate of a large matrix product.
"""

import json
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from bev.config import Experiment
from bev.cores import usable_cores
from bev.lab.benchmark.gpu.parts import PRECISIONS, ceilings, loading, pooling, training


def run(
    out: Path, config: Experiment, device: torch.device, batches: Sequence[int], seconds: float
) -> dict[str, Any]:
    """Measure and print; write ``gpu.json`` into ``out`` after each part.

    Args:
        out: output folder.
        config: config whose training steps are measured.
        device: device to measure.
        batches: batch sizes of the steps.
        seconds: time limit of the measurement of a step with its parts, and of the two
            measurements of loading, seconds; that of a pooling is a quarter of it.
    """
    out.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"machine": machine(device)}

    def keep(**parts: Any) -> None:
        record.update(parts)
        (out / "gpu.json").write_text(json.dumps(record, indent=1) + "\n")

    print(", ".join(f"{name} {value}" for name, value in record["machine"].items()), flush=True)
    limits = ceilings(device)
    keep(ceilings=asdict(limits))
    print(
        f"copies {limits.memory / 1e9:.0f} GB/s, L2 cache {limits.cache_bytes / 1e6:.0f} MB, matrix"
        " products "
        + ", ".join(f"{name} {rate / 1e12:.0f} TFLOP/s" for name, rate in limits.flops.items())
    )
    rows = []
    print(f"\n{'pooling':38} {'forward':>10} {'of copies':>9} {'backward':>10} {'of copies':>9}")
    for row in pooling(device, limits, seconds=seconds / 4):
        rows.append(asdict(row))
        print(
            f"{row.shape:26} {row.batch} {row.precision:>9} {row.forward_us:7.0f} us"
            f" {row.forward_fraction:9.0%} {row.backward_us:7.0f} us {row.backward_fraction:9.0%}"
            f"  gathers {row.gathered / 1e12:.2f} TB/s ({row.regime})",
            flush=True,
        )
    keep(pooling=rows)
    print(f"\n{'training step':20} {'ms':>8} {'samples/s':>10} {'of the peak':>12}  parts, ms")
    measured = []
    for batch in batches:
        for precision in PRECISIONS:
            step = training(config, device, limits, batch, precision, seconds)
            measured.append(asdict(step))
            parts = ", ".join(f"{name} {1e3 * value:.1f}" for name, value in step.parts.items())
            print(
                f"batch {batch:<3} {precision:10} {1e3 * step.seconds:8.1f}"
                f" {batch / step.seconds:10.1f} {step.peak_fraction:12.1%}  {parts}",
                flush=True,
            )
    keep(steps=measured)
    loaded = loading(config, device, max(batches), "bf16", 2 * seconds)
    keep(loading=asdict(loaded))
    print(
        f"\nwith the dataloader ({loaded.workers} workers), batch {loaded.batch},"
        f" {loaded.precision}: {loaded.steps_per_second:.2f} steps/s,"
        f" {loaded.batch * loaded.steps_per_second:.1f} samples/s;"
        f" {loaded.share:.0%} of the time is waiting for data"
    )
    return record


def machine(device: torch.device) -> dict[str, str]:
    """Names and versions that a figure depends on."""
    names = {
        "device": str(device),
        "cores": str(usable_cores()),
        "Python": platform.python_version(),
    }
    for package in ("bevlab", "torch", "triton", "numpy"):
        with suppress(metadata.PackageNotFoundError):
            names[package] = metadata.version(package)
    if device.type == "cuda":
        names |= {"device": torch.cuda.get_device_name(device), "CUDA": str(torch.version.cuda)}
    return names
