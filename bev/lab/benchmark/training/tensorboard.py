"""Cost of TensorBoard in a training run, as shares of a training step, measured in one run."""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from bev.config import Experiment
from bev.lab.benchmark.records import write_csv
from bev.lab.benchmark.step import make_step, random_batch
from bev.lab.benchmark.timing import Work, median_seconds
from bev.training.module import gradient_norms
from bev.training.tensorboard.callback import write_histograms
from bev.training.tensorboard.graph import graph_def, layer_graph
from bev.training.tensorboard.logger import EventLogger

EVERY = 500  # steps between histograms, where they are asked for
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Cost:
    """Cost of a part.

    Attributes:
        name: what is written.
        milliseconds: median time of one call.
        every: training steps between two calls; 0 for once in a run.
        share: of the time of the steps between two calls; 0 for once in a run.
    """

    name: str
    milliseconds: float
    every: int
    share: float


def run(
    out: Path, config: Experiment, device: torch.device, precision: torch.dtype, seconds: float
) -> list[Cost]:
    """Measure, print and write ``tensorboard.csv``.

    A step is that of the config on random images, with its optimiser. All parts are called in turn,
    round by round.

    Args:
        out: output folder.
        config: config of the steps, and of ``train.log_every``.
        device: device of the steps.
        precision: numeric precision of the steps.
        seconds: time limit, seconds; at least three rounds are measured.
    """
    model, train_step = make_step(config, device, precision)
    batch = random_batch(config, device)
    single = replace(config, data=replace(config.data, batch_size=1))
    sample, whole = random_batch(single, _CPU), make_step(single, _CPU, torch.float32)[0]
    gradients = {p: torch.randn_like(p) for p in model.parameters() if p.requires_grad}

    def restore() -> None:  # a step removes them
        for parameter, gradient in gradients.items():
            parameter.grad = gradient

    def norms() -> None:
        restore()
        torch.stack([*gradient_norms(model).values()]).tolist()

    def histograms() -> None:
        restore()
        write_histograms(logger, model, 0)

    restore()
    names = [*gradient_norms(model), "loss", *config.model.heads, "rate"]
    scalars = dict.fromkeys(names, 0.5)
    works: dict[str, Work] = {
        "training step": lambda: train_step(batch),
        "gradient norms": norms,
        "scalars": lambda: logger.log_metrics(scalars, 0),
        "histograms": histograms,
        "graph": lambda: graph_def(layer_graph(whole, sample)).SerializeToString(),
    }
    with TemporaryDirectory() as folder:
        logger = EventLogger(Path(folder))
        times = median_seconds(works, device, seconds=seconds)
        logger.close()
    step = times.pop("training step")
    often = {"gradient norms": config.train.log_every, "scalars": config.train.log_every}
    often["histograms"] = EVERY
    costs = [Cost("training step", 1e3 * step, 1, 1.0)]
    for name, time in times.items():
        every = often.get(name, 0)
        costs.append(Cost(name, 1e3 * time, every, time / (every * step) if every else 0.0))
    write_csv(costs, out / "tensorboard.csv")
    print(table(costs))
    return costs


def table(costs: list[Cost]) -> str:
    """Human-readable table of the parts."""
    lines = [f"{'':24} {'ms':>10}  every      of the steps"]
    for cost in costs:
        every = f"{cost.every:>5} step{'s' * (cost.every > 1)}" if cost.every else " once"
        share = f"{cost.share:.3%}" if cost.every else ""
        lines.append(f"{cost.name:24} {cost.milliseconds:10.2f} {every:12} {share:>8}")
    total, all_parts = (
        sum(cost.share for cost in costs[1:] if cost.name not in left_out)
        for left_out in (("histograms",), ())
    )
    lines.append(f"together {total:.2%} of a step, with histograms {all_parts:.2%}")
    return "\n".join(lines)
