"""Benchmark of inference: ``bevlab benchmark model CHECKPOINT|CONFIG``."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from bev.bounds import Length, Natural, NonNegative
from bev.cli.benchmark.networks import Batches, print_machine
from bev.data.settings import DataChoice
from bev.lab.benchmark.inference.variants import NAMES, Name
from bev.machine import default_device


@dataclass(frozen=True)
class Model:
    """Measure the latency of inference in several ways, in one run; writes tables and a chart.

    The ways alternate, so that changes in the load of the machine affect all. A prediction is timed
    from images in memory to boxes. A way that this machine lacks something for is left out, with
    the reason.

    Attributes:
        source: checkpoint or name of a shipped model; or a config, whose network is untrained.
        out: folder of model.csv, model_stages.csv and model.png.
        variants: ways to run the model, the base of comparisons first: "eager" (as trained),
            "prepared" (as `bevlab detect` and `evaluate` run it), "channels first" (in memory),
            "compiled" (needs a C++ compiler), "bf16" and "fp16" (autocast), "onnxruntime" and
            "openvino" (the graphs of `bevlab export`, for one calibration; they need
            `pip install 'bevlab[export]'`). "onnxruntime-int8" and "openvino-int8" are measured if
            they are named: they are quantised as by `bevlab export --int8`, which takes minutes.
        batches: batch sizes.
        threads: CPU threads; 0 for all cores.
        seconds: time limit of the measurement at each batch size, seconds.
        data: location of data whose first frames are predicted, and whose training frames INT8 is
            calibrated on; without, images are random.
        split: split of these data; empty for the validation split of the config.
    """

    source: tyro.conf.Positional[Path]
    out: Path = Path("benchmark")
    variants: Annotated[tuple[Name, ...], Length(least=1)] = NAMES
    batches: Batches = (1,)
    threads: Natural = 0
    seconds: NonNegative = 60.0
    data: DataChoice = field(default_factory=DataChoice)
    split: str = ""


def _model(command: Model) -> None:
    from bev.cli.visualize.command import is_config, open_config
    from bev.evaluation.evaluation import evaluators
    from bev.lab.benchmark.inference import run
    from bev.lab.benchmark.step import random_batch
    from bev.lab.deploy.command import TrainingFrames
    from bev.lab.deploy.settings import Int8Settings
    from bev.training.checkpoint import load_checkpoint

    if command.threads:
        torch.set_num_threads(command.threads)
    if is_config(command.source):
        config = open_config(command.source)
        settings = replace(config.model, backbone=config.model.backbone.without_weights())
        model = settings.build().eval()
    else:
        config, model = load_checkpoint(command.source)
    heads = list(evaluators(config.model, config.data))
    batch_of: Callable[[int], Any]
    feeds = None
    if command.data.root is None:

        def batch_of(size: int) -> Any:
            own = replace(config, data=replace(config.data, batch_size=size))
            return random_batch(own, torch.device("cpu"))

    else:
        batch_of = _loader(command, config.data)
        frames, data = Int8Settings.frames, command.data.apply(config.data)
        feeds = TrainingFrames(data, model, ["images"], frames)
    print(f"{command.source}, ", end="")
    print_machine()
    latencies, _ = run.run(
        command.out, model.to(default_device()), heads, batch_of, command.batches,
        command.variants, command.seconds, feeds,
    )  # fmt: skip
    if latencies:
        print(f"\nmodel.csv, model_stages.csv and model.png are written to {command.out}")


def _loader(command: Model, data: Any) -> Callable[[int], Any]:
    """Function that loads the first frames of a split as a batch."""
    from bev.data.batch import collate
    from bev.data.dataset import KeyFrames

    data = command.data.apply(data)
    frames = data.source.open(data).frames(command.split or data.splits[1])
    samples = KeyFrames(frames, data, training=False)
    return lambda size: collate([samples[number % len(frames)] for number in range(size)])


KINDS: dict[str, tuple[type, Callable[[Any], None]]] = {"model": (Model, _model)}
