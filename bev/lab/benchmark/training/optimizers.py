"""Time of one update of a config's parameters by several optimisers, in one run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.optim import AdamW

from bev.config import Experiment
from bev.lab.benchmark.records import write_csv
from bev.lab.benchmark.timing import median_seconds
from bev.training.optimization.muon import MuonAdamW, is_matrix


def _timm(parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """Muon of timm, which orthogonalises in bfloat16, and updates the rest by NAdamW."""
    from timm.optim import Muon  # once imported, its classes have names on the command line

    return Muon(parameters, nesterov=True)


KINDS: dict[str, Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]] = {
    "AdamW, fused": lambda parameters: AdamW(parameters, fused=True),
    "AdamW": AdamW,
    "MuonAdamW": MuonAdamW,
    "Muon of timm": _timm,
}


@dataclass(frozen=True)
class Update:
    """Time of an optimiser.

    Attributes:
        name: the optimiser.
        milliseconds: median time of an update of all parameters.
        ratio: to the time of fused AdamW.
    """

    name: str
    milliseconds: float
    ratio: float


def run(out: Path, config: Experiment, device: torch.device, seconds: float) -> list[Update]:
    """Measure, print and write ``optimizer.csv``; the gradients are random.

    Args:
        out: output folder.
        config: config of the network.
        device: device of the parameters.
        seconds: time limit, seconds; at least three rounds are measured.
    """
    works = {}
    for name, build in KINDS.items():
        model = config.model.build().to(device)
        parameters = [p for p in model.parameters() if p.requires_grad]
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter)
        works[name] = build(parameters).step
    kernels = [p for p in parameters if is_matrix(p)]
    total = sum(p.numel() for p in parameters)
    print(
        f"{total / 1e6:.2f} M parameters, {sum(p.numel() for p in kernels) / total:.1%} of them in"
        f" {len(kernels)} kernels and matrices that Muon updates"
    )
    taken = median_seconds(works, device, seconds=seconds)
    first = next(iter(taken.values()))
    updates = [Update(name, 1e3 * time, time / first) for name, time in taken.items()]
    for update in updates:
        print(f"{update.name:14s} {update.milliseconds:9.2f} ms  {update.ratio:7.2f}")
    write_csv(updates, out / "optimizer.csv")
    return updates
