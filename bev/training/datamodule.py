"""Loaders over the training and validation splits, the same on every machine and rank."""

import cv2
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from bev.config import Experiment
from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.data.sampling import EpochSampler
from bev.machine import usable_cores


class KeyFrameData(LightningDataModule):
    """The experiment's data; ``frames`` maps "train" and "val" to key frames once set up.

    Raises (on set-up):
        DataError: where the data set or a split is missing or incomplete.
    """

    def __init__(self, config: Experiment) -> None:
        super().__init__()
        self.config = config
        self.frames: dict = {}

    def setup(self, stage: str) -> None:
        if not self.frames:
            splits = zip(("train", "val"), self.config.data.splits, strict=True)
            self.frames = {name: self.config.data.frames(split) for name, split in splits}

    def train_dataloader(self) -> DataLoader:
        return self._loader(training=True)

    def val_dataloader(self) -> DataLoader:
        return self._loader(training=False)

    def _loader(self, training: bool) -> DataLoader:
        trainer, seed = self.trainer, self.config.train.seed
        frames = self.frames["train" if training else "val"]
        sampler = EpochSampler(
            len(frames), seed, training, training, trainer.global_rank, trainer.world_size
        )
        data = KeyFrames(frames, self.config.data, training, seed)
        return make_loader(data, sampler, trainer.num_devices)


def make_loader(
    data: KeyFrames, sampler: EpochSampler | None = None, processes: int = 1
) -> DataLoader:
    """A loader over key frames; without a sampler, every frame once and in order.

    ``processes`` is the number of training processes that share this machine.
    """
    workers = data.config.workers
    if workers < 0:
        # Leave a core to each process; with two cores or fewer, a process loads for itself.
        cores = usable_cores() // processes
        workers = 0 if cores <= 2 else min(cores - 1, 8)
    return DataLoader(
        data,
        batch_size=data.config.batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_one_thread,
    )


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)
