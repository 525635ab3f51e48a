"""Benchmarks of a network and its parts on this machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from bev.bounds import Count, Length, NonNegative, Positive
from bev.config import Experiment, load_config
from bev.errors import ConfigError
from bev.machine import default_device, has_fast_bf16, local_processes, threads_a_process

Batches = Annotated[tuple[Count, ...], Length(least=1)]


@dataclass(frozen=True)
class Pooling:
    """Time voxel pooling against published formulations at published shapes; takes some minutes.

    In each round every formulation is called twice and the second call is timed, with warm caches.

    Attributes:
        out: folder of pooling.csv, pooling_traffic.csv and pooling.png.
        batches: batch sizes.
        seconds: time limit of each comparison, seconds; at most 15 rounds are measured.
        memory: memory limit, GiB; formulations that would need more are skipped.
    """

    out: Path = Path("benchmark")
    batches: Batches = (1, 4)
    seconds: NonNegative = 20.0
    memory: Positive = 12.0


@dataclass(frozen=True)
class Step:
    """Measure time, FLOPs and memory of a training step and of its parts, on random images.

    Runs in one process, with as many CPU threads as each process of a training run has.

    Attributes:
        config: config file.
        batch_size: samples per step.
        precision: numeric precision; "auto" is bf16 if the device multiplies it in hardware.
        seconds: time limit of the measurement, seconds.
        published: for a config of Lift-Splat-Shoot's task, compare the whole step and inference
            with the published network instead, in float32.
    """

    config: tyro.conf.Positional[Path]
    batch_size: Count = 1
    precision: Literal["auto", "32", "bf16"] = "auto"
    seconds: NonNegative = 30.0
    published: bool = False


@dataclass(frozen=True)
class Gpu:
    """Measure a GPU in one run of some minutes: pooling, training steps, and data loading.

    Needs no data and no network. Times are compared with measured limits of the GPU: bandwidth of
    copies, and the rate of a large matrix product.

    Attributes:
        config: config file of the training steps.
        out: folder of gpu.json.
        batches: batch sizes of the training steps.
        seconds: time limit of a step with its parts, and of loading, seconds; that of a pooling is
            a quarter of it.
    """

    config: tyro.conf.Positional[Path] = Path("lss_r50")
    out: Path = Path("benchmark")
    batches: Batches = (1, 8)
    seconds: NonNegative = 8.0


@dataclass(frozen=True)
class Backbones:
    """Measure a model of each backbone family: feature map sizes, receptive field centres, time.

    Attributes:
        out: folder of backbones.csv.
        image_size: size of the images (H, W), pixels.
        images: number of images per forward and backward pass.
        seconds: time limit of the measurement, seconds; at least three rounds are measured.
    """

    out: Path = Path("benchmark")
    image_size: tuple[Count, Count] = (256, 704)
    images: Count = 1
    seconds: NonNegative = 60.0


@dataclass(frozen=True)
class TensorBoard:
    """Measure what TensorBoard adds to a training step, on random images.

    Attributes:
        config: config file; ``train.log_every`` is how often scalars are written.
        out: folder of tensorboard.csv.
        batch_size: samples per step.
        precision: numeric precision; "auto" is bf16 if the device multiplies it in hardware.
        seconds: time limit of the measurement, seconds.
    """

    config: tyro.conf.Positional[Path] = Path("lss_r50")
    out: Path = Path("benchmark")
    batch_size: Count = 1
    precision: Literal["auto", "32", "bf16"] = "auto"
    seconds: NonNegative = 60.0


@dataclass(frozen=True)
class Optimizer:
    """Time one update of a config's parameters by AdamW and by Muon, against fused AdamW.

    Runs with as many CPU threads as each process of a training run has.

    Attributes:
        config: config file.
        out: folder of optimizer.csv.
        seconds: time limit of the measurement, seconds.
    """

    config: tyro.conf.Positional[Path] = Path("bevdepth_synthetic")
    out: Path = Path("benchmark")
    seconds: NonNegative = 20.0


def _pooling(command: Pooling) -> None:
    from bev.lab.benchmark import pooling

    print_machine()
    memory = command.memory * 2**30
    pooling.run(command.out, command.batches, default_device(), command.seconds, memory)
    print(f"\npooling.csv, pooling_traffic.csv and pooling.png are written to {command.out}")


def _step(command: Step) -> None:
    from bev.lab.benchmark import step
    from bev.lab.benchmark.timing import product_flops

    config = load_config(command.config, ["--data.batch-size", str(command.batch_size)])
    half = command.precision == "bf16" or (command.precision == "auto" and has_fast_bf16())
    precision = torch.bfloat16 if half else torch.float32
    torch.set_num_threads(_threads(config))
    if command.published:
        from bev.lab.benchmark.training import against_published

        print(f"{command.config}, batch {command.batch_size}, float32, ", end="")
        print_machine()
        against_published.run(config, default_device(), command.seconds)
        return
    print(f"{command.config}, batch {command.batch_size}, {precision}, ", end="")
    print_machine()
    device = default_device()
    stages = step.step_stages(config, device, precision, command.seconds)
    print(step.table(stages))
    size = 8192 if device.type == "cuda" else 2048
    print(step.limit(stages, product_flops(device, precision, size)))


def _tensorboard(command: TensorBoard) -> None:
    from bev.lab.benchmark.training import tensorboard

    config = load_config(command.config, ["--data.batch-size", str(command.batch_size)])
    half = command.precision == "bf16" or (command.precision == "auto" and has_fast_bf16())
    precision = torch.bfloat16 if half else torch.float32
    print(f"{command.config}, batch {command.batch_size}, {precision}, ", end="")
    print_machine()
    tensorboard.run(command.out, config, default_device(), precision, command.seconds)


def _optimizer(command: Optimizer) -> None:
    from bev.lab.benchmark.training import optimizers

    config = load_config(command.config)
    torch.set_num_threads(_threads(config))
    print(f"{command.config}, ", end="")
    print_machine()
    optimizers.run(command.out, config, default_device(), command.seconds)
    print(f"\n{command.out / 'optimizer.csv'} is written")


def _threads(config: Experiment) -> int:
    """CPU threads of each process of a training run."""
    return threads_a_process(config.train.threads, local_processes(config.train.devices))


def _gpu(command: Gpu) -> None:
    from bev.lab.benchmark.gpu import run as gpu

    device = default_device()
    if device.type != "cuda":
        raise ConfigError(
            "benchmark gpu needs a CUDA device, and torch finds none; benchmark pooling, model and"
            " data measure this machine."
        )
    gpu.run(command.out, load_config(command.config), device, command.batches, command.seconds)
    print(f"\n{command.out / 'gpu.json'} is written")


def _backbones(command: Backbones) -> None:
    from bev.lab.benchmark import backbones

    print_machine()
    backbones.run(
        command.out, command.image_size, command.images, default_device(), command.seconds
    )
    print(f"\n{command.out / 'backbones.csv'} is written")


def print_machine() -> None:
    """Print torch's version, the device and the number of threads."""
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__}, {default_device()}, {threads} CPU threads", flush=True)


KINDS: dict[str, tuple[type, Callable[[Any], None]]] = {
    "pooling": (Pooling, _pooling),
    "step": (Step, _step),
    "gpu": (Gpu, _gpu),
    "backbones": (Backbones, _backbones),
    "tensorboard": (TensorBoard, _tensorboard),
    "optimizer": (Optimizer, _optimizer),
}
