"""Atomic writing of checkpoint files that are complete, readable and finite.

A checkpoint gets its name only after it has been written to a temporary file in the same folder,
flushed to disk, read back and checked. If the run ends or the disk fills up meanwhile, the earlier
file of that name remains. (Lightning's own plugin writes through the temporary folder, which on
another file system means a copy, and checks nothing.)
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
from bev.errors import TrainingError, system_fault
from bev.models.weights.loading import first_line

_WEIGHTS = ("state_dict", "current_model_state")  # entries whose tensors must be finite
_OPTIMISERS = "optimizer_states"


class CheckedCheckpointIO(TorchCheckpointIO):
    """Lightning plugin for single-file checkpoints; a failed write keeps the earlier file.

    Process 0 alone writes, and the others wait. With several processes, an error is stored as
    ``fault`` until :func:`raise_fault` raises it on all of them. Sharded strategies that write a
    folder (DeepSpeed, FSDP with a sharded state) bypass this and any other plugin.
    """

    fault = ""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        try:
            self._save(checkpoint, Path(path))
        except TrainingError as error:
            distributed = torch.distributed
            single = not (distributed.is_available() and distributed.is_initialized())
            if single or distributed.get_world_size() == 1:
                raise
            self.fault = str(error)

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return current_tensors(super().load_checkpoint(*args, **kwargs))

    def _save(self, checkpoint: dict[str, Any], path: Path) -> None:
        """Write a checkpoint, replacing a file of the same name.

        Raises:
            TrainingError: if it cannot be written or read back, or contains weights that are not
                finite; an earlier file is then unchanged.
        """
        partial = partial_of(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)  # left by a run that was killed
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            _check(checkpoint, partial, path)
            _check_no_worse(checkpoint, path)
            if path.is_dir():  # written by a sharded strategy
                shutil.rmtree(path)
            os.replace(partial, path)
            _flush_folder(path.parent)
        except (OSError, RuntimeError) as error:
            raise TrainingError(
                f"Checkpoint {path} cannot be written ({system_fault(error) or first_line(error)});"
                f" an earlier file of that name is unchanged. Free space, or make {path.parent}"
                " writable, and resume the run."
            ) from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def raise_fault(trainer: Trainer) -> None:
    """Raise the write error of process 0 on every process; all processes must call this.

    Raises:
        TrainingError: if writing failed.
    """
    fault = trainer.strategy.broadcast(getattr(trainer.strategy.checkpoint_io, "fault", ""))
    if fault:
        raise TrainingError(fault)


def partial_of(path: Path) -> Path:
    """Temporary name of a checkpoint while it is written; constant, so leftovers do not add up."""
    return path.with_name(f".{path.name}.partial")


def _check(checkpoint: dict[str, Any], partial: Path, path: Path) -> None:
    """Read a checkpoint back; raises TrainingError if a run could not be resumed from it."""
    try:
        with zipfile.ZipFile(partial) as parts:
            damaged = parts.testzip()  # compares all bytes with the checksums
        content = torch.load(partial, map_location="cpu", weights_only=True, mmap=True)
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError) as error:
        damaged, content = first_line(error), None
    if damaged or _shapes(content) != _shapes(checkpoint):
        raise TrainingError(
            f"Checkpoint {path} cannot be read back ({damaged or 'its tensors have changed'});"
            f" an earlier file of that name is unchanged. Check the disk of {path.parent}, and keep"
            " objects that are neither tensors nor plain data out of the states of callbacks."
        )
    if name := _not_finite(content, *_WEIGHTS):
        raise TrainingError(
            f"The weights are not finite after step {checkpoint.get('global_step')} (first {name}),"
            f" so checkpoint {path} is not written; an earlier one is unchanged. Start a new run"
            " from it (--train.init.weights) with a lower --train.lr."
        )


def _check_no_worse(checkpoint: dict[str, Any], path: Path) -> None:
    """Raise TrainingError if states of the optimiser are not finite, but are in the earlier file.

    Some optimisers keep infinities from the start; those that appear later spoil all further steps.
    """
    name = _not_finite(checkpoint, _OPTIMISERS)
    if not name or not path.is_file():
        return
    try:
        earlier = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError):
        return  # damaged: anything is better
    if not _not_finite(earlier, _OPTIMISERS):
        raise TrainingError(
            f"The state of the optimiser is not finite after step {checkpoint.get('global_step')}"
            f" ({name}), so it does not replace checkpoint {path}, where it is. Resume from that"
            " file, or start a new run from it (--train.init.weights) with a lower --train.lr."
        )


def _not_finite(checkpoint: dict[str, Any], *parts: str) -> str:
    """Name of the first tensor in entries of a checkpoint that is not finite; empty if none is."""
    for part in parts:
        for name, value in _tensors(checkpoint.get(part, ()), part):
            if value.is_floating_point() and not value.isfinite().all():
                return name
    return ""


def _shapes(tree: Any) -> list[tuple[str, torch.Size, torch.dtype]]:
    return [(name, value.shape, value.dtype) for name, value in _tensors(tree)]


def _tensors(tree: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in nested mappings and sequences, with dotted names."""
    if isinstance(tree, Tensor):
        yield name, tree
    elif isinstance(tree, Mapping | list | tuple):
        for key, value in tree.items() if isinstance(tree, Mapping) else enumerate(tree):
            yield from _tensors(value, f"{name}.{key}")


def _flush_folder(folder: Path) -> None:
    """Flush the new name to disk, if the system can open a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
