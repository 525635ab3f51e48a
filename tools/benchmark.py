"""Measured speed, as ratios in one run on one machine.

python tools/benchmark.py pooling                            # against the published formulations
python tools/benchmark.py model configs/lss_r50.py           # where a training step's time goes
python tools/benchmark.py data configs/lss_r50.py            # samples a second, against PIL's steps
python tools/benchmark.py backbones                          # a model of each family
python tools/benchmark.py data-index                         # opening trainval, against the devkit
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
import tyro

from bev.config import load_config
from bev.data.settings import DataChoice
from bev.errors import run_command
from bev.lab.benchmark import backbones, data, index, pooling, step
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

    config: tyro.conf.Positional[Path] = Path("configs/lss_r50.py")
    data: DataChoice = field(default_factory=DataChoice)
    out: Path = Path("benchmark")
    batch_size: int = 0
    workers: tuple[int, ...] = ()
    seconds: float = 10.0


def main() -> None:
    command = tyro.extras.subcommand_cli_from_dict(
        {
            "pooling": Pooling,
            "model": Model,
            "backbones": Backbones,
            "data": Data,
            "data-index": DataIndex,
        }
    )
    if isinstance(command, DataIndex):
        index.run(command.out, command.scenes, command.frames, command.boxes, command.sweeps)
        print(f"\n{command.out / 'data_index.csv'} is written")
        return
    if isinstance(command, Data):
        size = ["--data.batch-size", str(command.batch_size)] if command.batch_size else []
        config = load_config(command.config, size)
        data.run(command.out, config, command.data, command.workers, command.seconds)
        print(f"\n{command.out / 'data.csv'} is written")
        return
    device = default_device()
    if isinstance(command, Backbones):
        print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} CPU threads")
        backbones.run(command.out, command.image_size, command.images, device, command.seconds)
        print(f"\n{command.out / 'backbones.csv'} is written")
        return
    if isinstance(command, Pooling):
        print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} CPU threads")
        memory = command.memory * 2**30
        pooling.run(command.out, command.batches, device, command.seconds, memory)
        print(f"\npooling.csv, pooling_traffic.csv and pooling.png are written to {command.out}")
        return
    config = load_config(command.config, ["--data.batch-size", str(command.batch_size)])
    half = command.precision == "bf16" or (command.precision == "auto" and has_fast_bf16())
    precision = torch.bfloat16 if half else torch.float32
    threads = threads_a_process(config.train.threads, local_processes(config.train.devices))
    torch.set_num_threads(threads)
    print(
        f"{command.config}, batch {command.batch_size}, {precision}, torch {torch.__version__},"
        f" {device}, {threads} CPU threads"
    )
    print(step.table(step.step_stages(config, device, precision, command.seconds)))


if __name__ == "__main__":
    run_command(main)
