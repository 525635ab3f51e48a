"""Dataloaders of the training and validation key frames, from any position in a run.

The order of the samples in an epoch and the augmentation of each are functions of the seed. The
position (epoch, batches) is therefore all that a checkpoint stores of the data.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from lightning import LightningDataModule, Trainer
from torch.utils.data import DataLoader

from bev.data.dataset import KeyFrames
from bev.data.epoch import EpochPlan, EpochSampler
from bev.data.settings import DataConfig
from bev.data.source import FrameSource
from bev.errors import CheckpointError
from bev.evaluation.shards import shard
from bev.training.metrics import ValidationFrames, collate_valid
from bev.training.workers import PREFETCH, shared_collate, start_worker, worker_count

if TYPE_CHECKING:
    from lightning.pytorch.loops.progress import _ProcessedTracker


class KeyFrameData(LightningDataModule):
    """Data of a run.

    The state is the position in the training data: the next sample is that of batch ``batches`` of
    ``epoch``, for ``ranks`` processes; ``visits`` is the length of an epoch.

    Attributes:
        source: opened source of the frames, from set-up on, as the others.
        frames: key frames of "train" and "val".
        plan: samples of an epoch.

    Raises (on set-up):
        DataError: if the data set or a split is missing or incomplete.
    """

    trainer: Trainer  # set by Lightning
    source: FrameSource
    plan: EpochPlan

    def __init__(self, config: DataConfig, seed: int) -> None:
        super().__init__()
        self.config, self.seed = config, seed
        self.frames: dict = {}
        self.start = (0, 0)

    def setup(self, stage: str) -> None:
        if not self.frames:
            data = self.config
            self.source = data.source.open(data)
            train = self.source.training_frames()
            self.frames = {"train": train, "val": self.source.frames(data.splits[1])}
            self.plan = data.sampling.build(train, data.min_points)

    def train_dataloader(self) -> DataLoader:
        trainer, seed, batch = self.trainer, self.seed, self.config.batch_size
        sampler = EpochSampler(
            self.plan, seed, batch, trainer.global_rank, trainer.world_size, self.start
        )
        frames = KeyFrames(self.frames["train"], self.config, True, seed)
        return make_loader(frames, sampler, trainer.num_devices)

    def val_dataloader(self) -> DataLoader:
        trainer, frames = self.trainer, self.frames["val"]
        size = self.config.batch_size
        sampler = shard(len(frames), size, trainer.global_rank, trainer.world_size)
        data = ValidationFrames(frames, self.config, training=False)
        return make_loader(data, sampler, trainer.num_devices)

    def state_dict(self) -> dict:
        trainer = self.trainer
        # The trackers of epochs and batches count processed items; Lightning annotates their base.
        epochs = cast("_ProcessedTracker", trainer.fit_loop.epoch_progress.current)
        batches = cast("_ProcessedTracker", trainer.fit_loop.epoch_loop.batch_progress.current)
        return {
            "epoch": epochs.processed,
            "batches": batches.processed if epochs.started > epochs.processed else 0,
            "ranks": trainer.world_size,
            "visits": len(self.plan),
        }

    def load_state_dict(self, state: dict) -> None:
        """Set the position.

        Raises:
            CheckpointError: within an epoch, if the length of the epoch differs because the data
                set has changed. (``check_resumable`` compares the settings.)
        """
        if state["batches"] and state["visits"] != len(self.plan):
            raise CheckpointError(
                f"The checkpoint was saved within an epoch of {state['visits']} samples, but an"
                f" epoch now has {len(self.plan)}: the data set in {self.config.root} has changed."
            )
        self.start = state["epoch"], state["batches"]


def make_loader(
    data: KeyFrames, sampler: EpochSampler | Sequence[int] | None = None, processes: int = 1
) -> DataLoader:
    """Create a dataloader of key frames; without a sampler, every frame once and in order.

    Args:
        data: key frames.
        sampler: indices of the samples.
        processes: number of training processes that share this machine.

    Raises:
        DataError: see :func:`~bev.training.workers.worker_count`.
    """
    workers = worker_count(data.config, processes)
    return DataLoader(
        data,
        batch_size=data.config.batch_size,
        sampler=sampler,
        num_workers=workers,
        prefetch_factor=PREFETCH if workers else None,
        collate_fn=collate_valid if isinstance(data, ValidationFrames) else shared_collate,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=start_worker,
        generator=torch.Generator(),  # own generator: does not draw from the global one
    )
