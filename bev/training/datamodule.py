"""Loaders over the training and validation key frames, from any place in a run.

The idea: the order of an epoch's visits and the augmentation of each are functions of the seed, so
a position, (epoch, batches), is all that a checkpoint needs to keep of the data.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import cv2
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.data.epoch import EpochPlan, EpochSampler
from bev.data.settings import DataConfig
from bev.errors import CheckpointError
from bev.machine import usable_cores

# How long a loader's process outlives SIGTERM, seconds: the step it loads for is to be finished.
_GRACE = 60
# What ends a loader's process at once and quietly; Windows has no alarms, and no grace.
_END = getattr(signal, "SIGALRM", signal.SIGTERM)


class KeyFrameData(LightningDataModule):
    """The data of a run; ``frames`` maps "train" and "val" to key frames once set up.

    Its state is the position in the training data: the next visit is that of batch ``batches`` of
    ``epoch``, for so many ``ranks``; ``visits`` is the length of an epoch.

    Raises (on set-up):
        DataError: where the data set or a split is missing or incomplete.
    """

    def __init__(self, config: DataConfig, seed: int) -> None:
        super().__init__()
        self.config, self.seed = config, seed
        self.frames: dict = {}
        self.plan: EpochPlan | None = None
        self.start = (0, 0)

    def setup(self, stage: str) -> None:
        if not self.frames:
            data = self.config
            source = data.source.open(data)
            train = source.training_frames()
            self.frames = {"train": train, "val": source.frames(data.splits[1])}
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
        sampler = range(trainer.global_rank, len(frames), trainer.world_size)
        data = KeyFrames(frames, self.config, training=False)
        return make_loader(data, sampler, trainer.num_devices)

    def state_dict(self) -> dict:
        epochs = self.trainer.fit_loop.epoch_progress.current
        batches = self.trainer.fit_loop.epoch_loop.batch_progress.current
        return {
            "epoch": epochs.processed,
            "batches": batches.processed if epochs.started > epochs.processed else 0,
            "ranks": self.trainer.world_size,
            "visits": len(self.plan),
        }

    def load_state_dict(self, state: dict) -> None:
        """Take up a position.

        Raises:
            CheckpointError: within an epoch, where epochs are of another length here: the data set
                has changed. (``check_resumable`` compares the settings.)
        """
        if state["batches"] and state["visits"] != len(self.plan):
            raise CheckpointError(
                f"The checkpoint stopped within an epoch of {state['visits']} visits; here an epoch"
                f" has {len(self.plan)}: the data set in {self.config.root} has changed."
            )
        self.start = state["epoch"], state["batches"]


def make_loader(
    data: KeyFrames, sampler: EpochSampler | Sequence[int] | None = None, processes: int = 1
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
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # its own: beginning an epoch takes nothing from the model's
    )


@contextmanager
def ending_workers() -> Iterator[None]:
    """Within it, an error also ends the loaders' processes that were started, without grace."""
    before = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            with suppress(ProcessLookupError):
                os.kill(process.pid, _END)
        raise


def _start_worker(worker: int) -> None:
    """One thread, and no end by a signal to the whole run before the training process ends."""
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_GRACE))
        # Torch would report any other end as a fault of its own.
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
