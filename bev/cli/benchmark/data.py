"""Benchmarks of data loading, scoring and drawing."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from bev.bounds import Bound, Count, Natural, NonNegative
from bev.config import load_config
from bev.data.settings import DataChoice
from bev.errors import ConfigError
from bev.lab.benchmark.records import Place


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
    rounds: Count = 9


@dataclass(frozen=True)
class Report:
    """Measure the time and size of a report of many samples, repeated from those of an evaluation.

    Attributes:
        results: results file whose samples are repeated; omit it for a small synthetic world.
        data: location of its ground truth.
        split: split of the results file.
        out: folder of report.html and report.csv.
        samples: number of samples.
        boxes: predicted boxes of each sample.
        pictures: number of best samples with pictures, and of worst ones.
    """

    results: Path | None = None
    data: DataChoice = field(default_factory=DataChoice)
    split: str = ""
    out: Path = Path("benchmark")
    samples: Count = 6019
    boxes: Count = 100
    pictures: Natural = 24


@dataclass(frozen=True)
class Corruptions:
    """Measure the time of RoboBEV's corruptions of an image, against imagecorruptions; one thread.

    Attributes:
        image: image file; omit it for made detail of 1600x900, the size of nuScenes' images.
        out: folder of corruptions.csv.
        rounds: measurements of each; the table shows medians.
    """

    image: Path | None = None
    out: Path = Path("benchmark")
    rounds: Count = 5


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

    compare.run(command.out, _place(command), command.samples, command.boxes, command.rounds)
    print(f"\n{command.out / 'scoring.csv'} is written")


def _pictures(command: Pictures) -> None:
    from bev.lab.benchmark.drawing import pictures

    data = command.data.apply(load_config(command.config, []).data)
    frames = data.source.open(data).frames(command.split or data.splits[1])
    pictures.run(command.out, frames[0], command.rounds)
    print(f"\n{command.out / 'pictures.csv'} is written")


def _corruptions(command: Corruptions) -> None:
    from bev.lab.robustness import speed

    print(speed.table(speed.run(command.out, command.image, command.rounds)))
    print(f"\n{command.out / 'corruptions.csv'} is written")


def _report(command: Report) -> None:
    from bev.lab.benchmark.scoring import report

    report.run(command.out, _place(command), command.samples, command.boxes, command.pictures)
    print(f"\nreport.html and report.csv are written to {command.out}")


def _place(command: Scoring | Report) -> Place | None:
    """Location of a results file and its ground truth; None for made ones."""
    data = command.data
    if command.results is None:
        return None
    if not (data.root and data.version and command.split):
        raise ConfigError("--results needs --data.root, --data.version and --split.")
    return Place(command.results, data.root, data.version, command.split)


KINDS: dict[str, tuple[type, Callable[[Any], None]]] = {
    "data": (Data, _data),
    "data-index": (DataIndex, _data_index),
    "scoring": (Scoring, _scoring),
    "corruptions": (Corruptions, _corruptions),
    "pictures": (Pictures, _pictures),
    "report": (Report, _report),
}
