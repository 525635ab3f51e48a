"""Our network of Lift-Splat-Shoot's task against the published one: training step and inference."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch

from bev.config import Experiment
from bev.data.batch import Batch
from bev.inference.prepare import prepare_for_inference
from bev.lab.benchmark.step import make_step, random_batch
from bev.lab.benchmark.timing import Work, each_seconds
from bev.lab.benchmark.training.published_lss import PublishedLss


@dataclass(frozen=True)
class Comparison:
    """Times of one kind of work, seconds, and the median of the ratios of each round.

    Attributes:
        name: "training step" or "inference".
        ours, published: median times, seconds.
        speed: time of the published network over ours.
    """

    name: str
    ours: float
    published: float
    speed: float


def run(config: Experiment, device: torch.device, seconds: float) -> list[Comparison]:
    """Measure both networks in alternation, in float32; prints the comparisons.

    Args:
        config: config of lift-splat segmentation.
        device: device of both networks.
        seconds: time limit of the measurement, seconds.

    Raises:
        ConfigError: if the config has another task.
    """
    batch = random_batch(config, device)
    published = PublishedLss(config).to(device)
    _, step = make_step(config, device, torch.float32)
    settings = replace(config.model, backbone=config.model.backbone.without_weights())
    trained = prepare_for_inference(settings.build().to(device), keep_memory=True)
    evaluated = PublishedLss(config).to(device).eval()

    @torch.no_grad()
    def infer() -> None:
        evaluated(batch).sigmoid()

    works: dict[str, Work] = {
        "training step": partial(step, batch),
        "published training step": partial(_published_step(published), batch),
        "inference": partial(trained.predict, batch),
        "published inference": infer,
    }
    times = each_seconds(works, device, rounds=40, seconds=seconds)
    rows = [_compared(name, times) for name in ("training step", "inference")]
    for row in rows:
        print(
            f"{row.name:16} {1e3 * row.ours:9.1f} ms, published {1e3 * row.published:9.1f} ms:"
            f" {row.speed:.2f} times as fast"
        )
    return rows


def _published_step(model: PublishedLss) -> Callable[[Batch], None]:
    optimizer = torch.optim.Adam(model.train().parameters(), lr=1e-3, weight_decay=1e-7)

    def step(batch: Batch) -> None:
        optimizer.zero_grad()
        model.loss(batch)["bev"].backward()
        optimizer.step()

    return step


def _compared(name: str, times: dict[str, list[float]]) -> Comparison:
    ours, published = (torch.tensor(times[key]) for key in (name, f"published {name}"))
    ratio = (published / ours).median()
    return Comparison(name, float(ours.median()), float(published.median()), float(ratio))
