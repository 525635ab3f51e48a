"""Loading of weights from files: no code execution, matching by name, a report on every tensor.

One rule applies to all sources, weights of timm models and checkpoints of runs alike: the tensors
of a file are matched with those of the model by name, after a shared prefix is removed or added,
and are loaded if the shapes are equal. All other tensors are reported.
"""

import argparse
import json
import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from bev.compatibility import current_tensors
from bev.errors import WeightsError
from bev.files import replacing
from bev.models.weights.parts import unknown_part, within, within_any
from bev.models.weights.report import Mismatch, WeightsReport
from bev.models.weights.shipped import located, shipped_names
from bev.plain_json import load_json

# Keys under which training programs store the weights in a checkpoint, averaged weights first.
_CONTAINERS = ("state_dict_ema", "model_ema", "state_dict", "model")
CONFIG = "config"  # key of the experiment, as plain data, in files of this project


def read_file(path: Path) -> Any:
    """Read a weights file or checkpoint to the CPU: tensors and plain data only.

    For ``.safetensors``, the result is a mapping with ``state_dict``, and with ``config`` if the
    file contains one; its numbers in half precision are read as float32.

    Args:
        path: file, or the name of a shipped model.

    Raises:
        WeightsError: if the file does not exist, cannot be read, or contains objects that only code
            execution could restore.
    """
    path = located(path)
    if not path.is_file():
        raise WeightsError(f"Weights file {path} does not exist. {shipped_names()}")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                state = {name: _full(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
            config = {CONFIG: load_json(metadata[CONFIG])} if CONFIG in metadata else {}
            return current_tensors({"state_dict": state, **config})
        _check_archive(path)
        # Checkpoints of timm's training script contain its command line arguments.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return current_tensors(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        why = (
            f"it holds {foreign[1]}, which is neither a tensor nor plain data and could run code;"
            " save only the state_dict of the model"
            if foreign
            else "it is not a torch file, or damaged"
        )
        raise WeightsError(f"Weights file {path} cannot be read: {why}.") from error
    # Both readers run over bytes of any content, so damage may surface as any error.
    except Exception as error:
        raise WeightsError(f"Weights file {path} cannot be read ({first_line(error)}).") from error


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _check_archive(path: Path) -> None:
    """Check the parts of a torch file against their checksums, which torch itself ignores.

    Raises:
        ValueError: if a part is damaged or compressed, as torch writes none and a few bytes could
            stand for gigabytes; also for another file in zip format than torch's.
    """
    if not zipfile.is_zipfile(path):
        return  # torch's format before 1.6, or no torch file
    with zipfile.ZipFile(path) as parts:
        for part in parts.infolist():
            if part.compress_type != zipfile.ZIP_STORED or part.file_size != part.compress_size:
                raise ValueError(f"its part {part.filename[:80]} is compressed")
        if damaged := parts.testzip():
            raise ValueError(f"its part {damaged[:80]} is damaged")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a weights file (``.safetensors`` or torch), by name.

    From a checkpoint, the tensors of the model are read, averaged ones if available. Prefixes of
    wrappers are removed from names: ``module.`` (data parallel) and ``_orig_mod.`` (compile).

    Raises:
        WeightsError: see :func:`read_file`; also if there are no tensors.
    """
    return weights_of(read_file(path), str(path))


def write_weights(
    path: Path,
    state: Mapping[str, Tensor],
    config: Mapping[str, Any] | None = None,
    half: bool = False,
) -> None:
    """Write named tensors as safetensors, with an optional config as plain data.

    Args:
        path: output file.
        state: tensors by name.
        config: experiment as plain data.
        half: write kernels and matrices in float16. Vectors, such as biases and the statistics of
            norms, stay as they are: they are few, and variances may be out of its range.

    Raises:
        WeightsError: if the suffix is not ``.safetensors``, or a number is too large for float16.
    """
    if path.suffix != ".safetensors":
        raise WeightsError(f"Weights are written as safetensors: {path} must end in .safetensors.")
    metadata = {"format": "pt"} | ({} if config is None else {CONFIG: json.dumps(config)})
    # Tensors may be channels-last in memory; the file stores them contiguously.
    plain = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    if half:
        plain = {name: _halved(value, name) for name, value in plain.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_bytes(save(plain, metadata))  # with default file permissions


def _halved(tensor: Tensor, name: str) -> Tensor:
    if tensor.ndim < 2 or not tensor.is_floating_point():
        return tensor
    halved = tensor.half()
    if not halved.isfinite().all():
        raise WeightsError(f"{name} has numbers too large for half precision; write it in full.")
    return halved


def weights_of(content: Any, source: str) -> dict[str, Tensor]:
    """Named tensors in the content of a file, see :func:`read_weights`; errors name ``source``."""
    for name in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
            break
    named = content.items() if isinstance(content, Mapping) else ()
    tensors = {str(name): value for name, value in named if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{source} holds no named tensors; save the state_dict of a model.")
    clean = {_unwrapped(name): value for name, value in tensors.items()}
    if len(clean) < len(tensors):
        raise WeightsError(
            f"{source} holds one model twice, with and without a wrapper; save one of them."
        )
    return clean


@torch.no_grad()
def load_weights(
    model: nn.Module,
    state: Mapping[str, Tensor],
    source: str,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
) -> WeightsReport:
    """Load the tensors that match by name and shape into a model.

    Args:
        model: model to load the weights into, in place.
        state: tensors by name, see :func:`read_weights`.
        source: name of the source in the report and in errors.
        only: parts of the model to load (see ``bev.models.weights.parts``); empty for all.
        skip: parts of the model not to load.

    Raises:
        WeightsError: if no tensor matches, a part in ``only`` or ``skip`` does not exist, or no
            tensor matches for a part in ``only``.
    """
    target = model.state_dict()
    if unknown := unknown_part(target, (*only, *skip)):
        raise WeightsError(unknown)
    renamed, note = _renamed(state, target)
    wanted = {
        name
        for name in target
        if (not only or within_any(name, only)) and not within_any(name, skip)
    }
    both = [name for name in target if name in wanted and name in renamed]
    matched = [name for name in both if target[name].shape == renamed[name].shape]
    mismatched = [
        Mismatch(name, tuple(renamed[name].shape), tuple(target[name].shape))
        for name in both
        if target[name].shape != renamed[name].shape
    ]
    for part in only or ("",):
        if not any(within(name, part) for name in matched):
            what = f"Part {part!r} of the model" if part else "The model"
            first = [name for name in target if within(name, part)][:1]
            raise WeightsError(
                f"{what} gets no tensor from {source}: names or shapes differ (first in the model:"
                f" {first}, in the file: {list(state)[:1]})."
            )
    for name in matched:
        target[name].copy_(renamed[name])
    known = set(target)
    original = dict(zip(renamed, state, strict=True))
    return WeightsReport(
        source,
        tuple(matched),
        tuple(name for name in target if name in wanted and name not in renamed),
        tuple(mismatched),
        tuple(original[name] for name in renamed if name not in known),
        tuple(name for name in target if name not in wanted),
        (note,) if note else (),
    )


def renamed_in_order(
    state: Mapping[str, Tensor], target: Mapping[str, Tensor], source: str = "the file"
) -> dict[str, Tensor]:
    """Rename the tensors of a file to those of a model by their order.

    Args:
        state: tensors of the file.
        target: ``state_dict()`` of the model.
        source: name of the file in errors.

    Raises:
        WeightsError: if the numbers of tensors or any two shapes differ.
    """
    for (file_name, value), (name, expected) in zip(state.items(), target.items(), strict=False):
        if value.shape != expected.shape:
            raise WeightsError(
                f"The order of tensors in {source} differs from the model: {file_name}"
                f" {tuple(value.shape)} would become {name} {tuple(expected.shape)}."
            )
    if len(state) != len(target):
        raise WeightsError(f"{source} has {len(state)} tensors and the model {len(target)}.")
    return dict(zip(target, state.values(), strict=True))


def _renamed(
    state: Mapping[str, Tensor], target: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], str]:
    """Remove or add the prefix that makes most names match those of the model.

    Tensors without a removed prefix keep their names. The order of tensors does not change.

    Returns:
        The renamed tensors, and a note on the prefix; empty without any.
    """
    names, known = list(state), set(target)
    best, count = names, sum(name in known for name in names)
    note = ""
    for prefix in _prefixes(names):
        off = [name.removeprefix(prefix) for name in names]
        fitting = sum(name in known for name in off)
        if fitting > count and len(set(off)) == len(off):
            best, count, note = off, fitting, f"prefix {prefix!r} removed from names"
    for prefix in _prefixes(target):
        on = [prefix + name for name in names]
        fitting = sum(name in known for name in on)
        if fitting > count:
            best, count, note = on, fitting, f"prefix {prefix!r} added to names"
    return dict(zip(best, state.values(), strict=True)), note


def _prefixes(names: Iterable[str]) -> list[str]:
    """Dotted prefixes of names, up to three words, shortest first."""
    prefixes: dict[str, None] = {}
    for depth in (1, 2, 3):
        for name in names:
            words = name.split(".")
            if len(words) > depth:
                prefixes[".".join(words[:depth]) + "."] = None
    return list(prefixes)


def _unwrapped(name: str) -> str:
    name = name.replace("_orig_mod.", "")
    while name.startswith("module."):
        name = name.removeprefix("module.")
    return name


def first_line(error: Exception) -> str:
    """First line of the message of an error from another library."""
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
