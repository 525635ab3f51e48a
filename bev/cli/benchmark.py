"""Measured speed, as ratios in one run on one machine.

bevlab benchmark pooling          # against the published formulations
bevlab benchmark model lss_r50    # where a training step's time goes
bevlab benchmark data lss_r50     # samples a second, against PIL's steps
bevlab benchmark backbones        # a model of each family
bevlab benchmark data-index       # opening trainval, against the devkit
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
import tyro

from bev.config import load_config
from bev.data.settings import DataChoice
from bev.machine import default_device, has_fast_bf16, local_processes, threads_a_process


@dataclass(frozen=True)
class Pooling:
    """Voxel pooling against the published formulations, at their shapes; some minutes.

    Each is called twice in a turn and its second call counts: what fits the caches is found there.

    Attributes:
        out: folder for pooling.csv, pooling_traffic.csv and pooling.png.
        batches: batch sizes.
        seconds: measuring time of each comparison, of up to 15 turns.
        memory: GiB; a formulation that would need more is left out.
    """

    out: Path = Path("benchmark")
    batches: tuple[int, ...] = (1, 4)
    seconds: float = 20.0
    memory: float = 12.0


@dataclass(frozen=True)
class Model:
    """One training step of a config, part by part, on random images: time, FLOPs, memory.

    In one process, with the CPU threads that each process of its training has.

    Attributes:
        config: the config file.
        batch_size: samples a step.
        precision: "auto" is bf16 where the device multiplies it in hardware.
        seconds: measuring time.
    """

    config: tyro.conf.Positional[Path]
    batch_size: int = 1
    precision: Literal["auto", "32", "bf16"] = "auto"
    seconds: float = 30.0


@dataclass(frozen=True)
class Backbones:
    """A model of each family of backbones: sizes of its features, where they look, its time.

    Attributes:
        out: folder for backbones.csv.
        image_size: (H, W).
        images: of a pass, forward and backward.
        seconds: measuring time; three turns are taken in any case.
    """

    out: Path = Path("benchmark")
    image_size: tuple[int, int] = (256, 704)
    images: int = 1
    seconds: float = 60.0


@dataclass(frozen=True)
class DataIndex:
    """The index against ``NuScenes(...)`` on made tables of trainval's size; two minutes.

    Attributes:
        out: folder for data_index.csv.
        scenes: at most 850, as trainval has.
        frames: key frames a scene.
        boxes: in each key frame.
        sweeps: readings of each sensor between two key frames.
    """

    out: Path = Path("benchmark")
    scenes: int = 850
    frames: int = 40
    boxes: int = 35
    sweeps: int = 0


@dataclass(frozen=True)
class Data:
    """The samples of a config's training: time by stage, by worker, and against published code.

    On the config's data, or on those that are chosen here; without any, on made images of
    nuScenes' size.

    Attributes:
        config: the config file.
        data: where the data lie, if not where the config says.
        out: folder for data.csv.
        batch_size: of the loaders; the config's where it is 0.
        workers: numbers of loader processes to try; up to the machine's cores where none is given.
        seconds: measuring time of each part.
    """

    config: tyro.conf.Positional[Path] = Path("lss_r50")
    data: DataChoice = field(default_factory=DataChoice)
    out: Path = Path("benchmark")
    batch_size: int = 0
    workers: tuple[int, ...] = ()
    seconds: float = 10.0


def main(arguments: list[str], prog: str) -> None:
    kinds = {
        "pooling": Pooling,
        "model": Model,
        "backbones": Backbones,
        "data": Data,
        "data-index": DataIndex,
    }
    command = tyro.extras.subcommand_cli_from_dict(kinds, args=arguments, prog=prog)
    run = {
        Pooling: _pooling,
        Model: _model,
        Backbones: _backbones,
        Data: _data,
        DataIndex: _data_index,
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


def _print_machine() -> None:
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__}, {default_device()}, {threads} CPU threads", flush=True)
