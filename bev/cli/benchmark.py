"""Measure speed, as ratios within one run on one machine.

bevlab benchmark pooling          # voxel pooling against published formulations
bevlab benchmark model lss_r50    # time and memory of the parts of a training step
bevlab benchmark gpu lss_r50      # a GPU: pooling, training steps, data loading; one JSON
bevlab benchmark data lss_r50     # samples per second, against the published steps in PIL
bevlab benchmark backbones        # one model of each backbone family
bevlab benchmark data-index       # opening trainval, against the devkit
bevlab benchmark pictures         # time of a mosaic on one core
bevlab benchmark scoring          # scoring a results file, against the devkit
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from bev.bounds import Bound, Count, Length, Natural, NonNegative, Positive
from bev.config import load_config
from bev.data.settings import DataChoice
from bev.errors import ConfigError
from bev.machine import default_device, has_fast_bf16, local_processes, threads_a_process
from bev.options import parse_subcommand

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
class Model:
    """Measure time, FLOPs and memory of a training step and of its parts, on random images.

    Runs in one process, with as many CPU threads as each process of a training run has.

    Attributes:
        config: config file.
        batch_size: samples per step.
        precision: numeric precision; "auto" is bf16 if the device multiplies it in hardware.
        seconds: time limit of the measurement, seconds.
    """

    config: tyro.conf.Positional[Path]
    batch_size: Count = 1
    precision: Literal["auto", "32", "bf16"] = "auto"
    seconds: NonNegative = 30.0


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
class DataIndex:
    """Compare the index with ``NuScenes(...)`` on synthetic tables of trainval's size; two minutes.

    Attributes:
        out: folder of data_index.csv.
        scenes: number of scenes, at most 850 (the size of trainval).
        frames: key frames per scene.
        boxes: boxes per key frame.
        sweeps: sweeps of each sensor between two key frames.
    """

    out: Path = Path("benchmark")
    scenes: Annotated[int, Bound(least=1, most=850)] = 850
    frames: Count = 40
    boxes: Natural = 35
    sweeps: Natural = 0


@dataclass(frozen=True)
class Scoring:
    """Compare ``bevlab evaluate RESULTS.json`` with the devkit's own command: CPU time and memory.

    Scores a given results file, or made detections in synthetic tables of val's size.

    Attributes:
        results: results file; omit it for made detections.
        data: location of its ground truth.
        split: split of the results file.
        out: folder of scoring.csv.
        samples: samples of the made tables.
        boxes: made detections in each sample.
        rounds: runs of each command; the table shows medians.
    """

    results: Path | None = None
    data: DataChoice = field(default_factory=DataChoice)
    split: str = ""
    out: Path = Path("benchmark")
    samples: Count = 6019
    boxes: Count = 100
    rounds: Count = 3


@dataclass(frozen=True)
class Data:
    """Measure the loading of training samples: time by stage, by workers, against published code.

    Uses the data of the config, or the data chosen here; if neither exists, synthetic images of
    nuScenes' size.

    Attributes:
        config: config file.
        data: location of the data, if other than in the config.
        out: folder of data.csv.
        batch_size: batch size of the dataloaders; 0 takes the config's.
        workers: numbers of dataloader workers to try; defaults to 0, 1, 2, 4, ... up to the
            number of CPU cores.
        seconds: time limit of each measurement, seconds.
    """

    config: tyro.conf.Positional[Path] = Path("lss_r50")
    data: DataChoice = field(default_factory=DataChoice)
    out: Path = Path("benchmark")
    batch_size: Natural = 0
    workers: tuple[Annotated[int, Bound(least=0, most=256)], ...] = ()
    seconds: NonNegative = 10.0


@dataclass(frozen=True)
class Pictures:
    """Measure the CPU time of pictures of one key frame, on one core.

    Attributes:
        config: config file.
        data: location of the data, if other than in the config.
        split: split whose first key frame is drawn; empty for the validation split.
        out: folder of pictures.csv.
        rounds: pictures of each kind; the table shows medians.
    """

    config: tyro.conf.Positional[Path] = Path("lss_r50_mini")
    data: DataChoice = field(default_factory=DataChoice)
    split: str = ""
    out: Path = Path("benchmark")
    rounds: int = 9


def main(arguments: list[str], prog: str) -> None:
    kinds: dict[str, Callable[..., Any]] = {
        "pooling": Pooling,
        "model": Model,
        "gpu": Gpu,
        "backbones": Backbones,
        "data": Data,
        "data-index": DataIndex,
        "scoring": Scoring,
        "pictures": Pictures,
    }
    command = parse_subcommand(kinds, arguments, prog)
    run: dict[type, Callable[[Any], None]] = {
        Pooling: _pooling,
        Model: _model,
        Gpu: _gpu,
        Backbones: _backbones,
        Data: _data,
        DataIndex: _data_index,
        Scoring: _scoring,
        Pictures: _pictures,
    }
    run[type(command)](command)


def _pooling(command: Pooling) -> None:
    from bev.lab.benchmark import pooling

    _print_machine()
    memory = command.memory * 2**30
    pooling.run(command.out, command.batches, default_device(), command.seconds, memory)
    print(f"\npooling.csv, pooling_traffic.csv and pooling.png are written to {command.out}")


def _model(command: Model) -> None:
    from bev.lab.benchmark import step

    config = load_config(command.config, ["--data.batch-size", str(command.batch_size)])
    half = command.precision == "bf16" or (command.precision == "auto" and has_fast_bf16())
    precision = torch.bfloat16 if half else torch.float32
    threads = threads_a_process(config.train.threads, local_processes(config.train.devices))
    torch.set_num_threads(threads)
    print(f"{command.config}, batch {command.batch_size}, {precision}, ", end="")
    _print_machine()
    print(step.table(step.step_stages(config, default_device(), precision, command.seconds)))


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

    _print_machine()
    backbones.run(
        command.out, command.image_size, command.images, default_device(), command.seconds
    )
    print(f"\n{command.out / 'backbones.csv'} is written")


def _data(command: Data) -> None:
    from bev.lab.benchmark import data

    size = ["--data.batch-size", str(command.batch_size)] if command.batch_size else []
    config = load_config(command.config, size)
    data.run(command.out, config, command.data, command.workers, command.seconds)
    print(f"\n{command.out / 'data.csv'} is written")


def _data_index(command: DataIndex) -> None:
    from bev.lab.benchmark import index

    index.run(command.out, command.scenes, command.frames, command.boxes, command.sweeps)
    print(f"\n{command.out / 'data_index.csv'} is written")


def _scoring(command: Scoring) -> None:
    from bev.lab.benchmark.scoring import compare

    place, data = None, command.data
    if command.results is not None:
        if not (data.root and data.version and command.split):
            raise ConfigError("--results needs --data.root, --data.version and --split.")
        place = compare.Place(command.results, data.root, data.version, command.split)
    compare.run(command.out, place, command.samples, command.boxes, command.rounds)
    print(f"\n{command.out / 'scoring.csv'} is written")


def _pictures(command: Pictures) -> None:
    from bev.lab.benchmark.drawing import pictures

    data = command.data.apply(load_config(command.config, []).data)
    frames = data.source.open(data).frames(command.split or data.splits[1])
    pictures.run(command.out, frames[0], max(command.rounds, 1))
    print(f"\n{command.out / 'pictures.csv'} is written")


def _print_machine() -> None:
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__}, {default_device()}, {threads} CPU threads", flush=True)
