"""Program that trains in stages on two processes, for ``test_staged_processes``.

It is run by its path and writes the weights of each rank after every step.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from bev.training.module import TrainingModule
from bev.training.settings import StageConfig, TrainConfig

STEPS, PROCESSES = 5, 2
STAGES = (
    StageConfig(only=("head",), fixed_norms=("norm",)),
    StageConfig(2, frozen=("head",), fixed_norms=("norm",)),
    StageConfig(4, rates=(("body", 0.5),), fixed_norms=("norm",)),
)
CONFIG = TrainConfig(
    optimizer=torch.optim.SGD, lr=0.1, lr_batch=0, weight_decay=0.0, warmup_steps=0, stages=STAGES,
)  # fmt: skip


class Network(nn.Module):
    """A body, a norm and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)

    def loss(self, batch):
        return {"heatmap": self.head(self.norm(self.body(batch.x)).tanh()).square().mean()}


@dataclass
class Points:
    """A batch of random points; each process has one batch per step."""

    x: torch.Tensor
    tokens: tuple[str, ...] = ("made",)

    def __len__(self):
        return len(self.x)

    def to(self, device, non_blocking=False):
        return replace(self, x=self.x.to(device))


def network():
    torch.manual_seed(0)
    return Network()


def points(rank):
    generator = torch.Generator().manual_seed(1 + rank)
    return [Points(torch.randn(6, 3, generator=generator)) for _ in range(STEPS)]


class Watch(Callback):
    def __init__(self):
        self.weights = []

    def on_train_batch_end(self, trainer, module, *_):
        self.weights.append({n: v.clone() for n, v in module.model.state_dict().items()})


class Own(torch.utils.data.Dataset):
    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        return points(torch.distributed.get_rank())[index]


def main(folder):
    seed_everything(0, verbose=False)
    watch = Watch()
    trainer = Trainer(
        accelerator="cpu", devices=PROCESSES, max_epochs=1, logger=False,
        strategy=DDPStrategy(gradient_as_bucket_view=True),  # as in train()
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[watch], use_distributed_sampler=False, default_root_dir=folder,
    )  # fmt: skip
    module = TrainingModule(network(), CONFIG, 1)
    trainer.fit(module, torch.utils.data.DataLoader(Own(), batch_size=None))
    torch.save(watch.weights, folder / f"rank{trainer.global_rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
