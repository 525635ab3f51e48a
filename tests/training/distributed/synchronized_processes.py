"""Program that normalises on two processes, for ``test_synchronized``.

It is run by its path, and writes the outputs, gradients and statistics of each rank.
"""

import os
import sys
from pathlib import Path

import torch
from timm.layers import BatchNormAct2d
from torch import nn

from bev.training.distributed.synchronized import synchronize

SAMPLES = (3, 1)  # of each process; their number may differ


def network():
    """A norm, one with an activation, and one of vectors."""
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4), BatchNormAct2d(4, act_layer=nn.SiLU),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(4, momentum=None),
    )  # fmt: skip
    for parameter in layers.parameters():
        nn.init.normal_(parameter)
    return layers.double()


def samples():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(sum(SAMPLES), 2, 3, 5, generator=generator, dtype=torch.float64) + 2


def loss(output):
    return (output.tanh() * torch.arange(1.0, 5)).sum()


def measured(model, x):
    """Output, gradient of the loss, and tensors of a model after a step."""
    x = x.clone().requires_grad_()
    output = model(x)
    loss(output).backward()
    return {
        "output": output.detach(),
        "input": x.grad,
        "gradients": {n: p.grad for n, p in model.named_parameters()},
        "tensors": {n: v for n, v in model.state_dict().items()},
    }


def main(folder):
    rank = int(os.environ["LOCAL_RANK"])
    torch.distributed.init_process_group("gloo", rank=rank, world_size=len(SAMPLES))
    model = network()
    synchronize(model, "cpu")
    own = samples().split(SAMPLES)[rank]
    torch.save(measured(model.train(), own), folder / f"rank{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
