"""Checkpoint files that are whole, readable and finite, or not there at all.

The idea: a checkpoint takes its name only after it has been written beside its place, flushed to
disk, read back and found good. Whatever ends the run or fills the disk meanwhile, the file of that
name is the earlier one. (Lightning's own plugin writes through the temporary folder, which on
another file system is a copy, and looks at nothing.)
"""

import os
import pickle
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from lightning import Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from bev.compatibility import current_tensors
from bev.errors import TrainingError
from bev.models.weights.loading import first_line

_WEIGHTS = ("state_dict", "current_model_state")  # what must be finite


class CheckedCheckpointIO(TorchCheckpointIO):
    """Lightning's plugin for checkpoints of one file, with writing that cannot lose an earlier one.

    Process 0 alone writes, and the others wait for it. Where there are others, an error is kept as
    ``fault`` until :func:`raise_fault` raises it on all of them. Sharded strategies that write a
    folder (DeepSpeed, FSDP where its state is asked for in shards) do so themselves, past any
    plugin.
    """

    fault = ""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        try:
            self._save(checkpoint, Path(path))
        except TrainingError as error:
            distributed = torch.distributed
            alone = not (distributed.is_available() and distributed.is_initialized())
            if alone or distributed.get_world_size() == 1:
                raise
            self.fault = str(error)

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return current_tensors(super().load_checkpoint(*args, **kwargs))

    def _save(self, checkpoint: dict[str, Any], path: Path) -> None:
        """Write a checkpoint, in place of the one of that name.

        Raises:
            TrainingError: where it cannot be written or read back, or holds weights that are not
                finite; what stood there is then as it was.
        """
        partial = partial_of(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)  # of a run that was killed
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            _check(checkpoint, partial, path)
            if path.is_dir():  # of a strategy that writes folders
                shutil.rmtree(path)
            os.replace(partial, path)
            _flush_folder(path.parent)
        except (OSError, RuntimeError) as error:
            raise TrainingError(
                f"Checkpoint {path} cannot be written ({first_line(error)}); what stood there is as"
                f" it was. Free space, or make {path.parent} writable, and resume the run."
            ) from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def raise_fault(trainer: Trainer) -> None:
    """Raise on every process what kept the first from writing; all of them must call this.

    Raises:
        TrainingError: where there was a fault.
    """
    fault = trainer.strategy.broadcast(getattr(trainer.strategy.checkpoint_io, "fault", ""))
    if fault:
        raise TrainingError(fault)


def partial_of(path: Path) -> Path:
    """The name of a checkpoint while it is written; the same each time, so that none adds up."""
    return path.with_name(f".{path.name}.partial")


def _check(checkpoint: dict[str, Any], partial: Path, path: Path) -> None:
    """Read a checkpoint back; raises TrainingError where it is not good to go on from."""
    try:
        with zipfile.ZipFile(partial) as parts:
            damaged = parts.testzip()  # compares every byte with the checksums
        found = torch.load(partial, map_location="cpu", weights_only=True, mmap=True)
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError) as error:
        damaged, found = first_line(error), None
    if damaged or _shapes(found) != _shapes(checkpoint):
        raise TrainingError(
            f"Checkpoint {path} cannot be read back ({damaged or 'other tensors than written'});"
            f" what stood there is as it was. Look after the disk of {path.parent}, and leave"
            " objects that are neither tensors nor plain data out of the states of callbacks."
        )
    for part in _WEIGHTS:
        for name, value in _tensors(found.get(part, {})):
            if value.is_floating_point() and not value.isfinite().all():
                step = checkpoint.get("global_step")
                raise TrainingError(
                    f"The weights are not finite after step {step} (first {part}{name}), so"
                    f" checkpoint {path} is not written; an earlier one stands as it was. Begin"
                    " anew from it (--train.init.weights) with a lower --train.lr."
                )


def _shapes(tree: Any) -> list[tuple[str, torch.Size, torch.dtype]]:
    return [(name, value.shape, value.dtype) for name, value in _tensors(tree)]


def _tensors(tree: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested mappings and sequences, under dotted names."""
    if isinstance(tree, Tensor):
        yield name, tree
    elif isinstance(tree, Mapping | list | tuple):
        for key, value in tree.items() if isinstance(tree, Mapping) else enumerate(tree):
            yield from _tensors(value, f"{name}.{key}")


def _flush_folder(folder: Path) -> None:
    """Bring the new name to disk as well, where the system can open a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
