"""Weights from files: read without running code, matched by name, accounted for tensor by tensor.

One rule for all sources, a timm model's file as well as a run's checkpoint: the tensors of a file
are matched with a model's by name, after one prefix that all of them share is taken off or put on;
a tensor is loaded where the shapes are equal. The rest is reported, never dropped in silence.
"""

import argparse
import json
import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from bev.compatibility import current_tensors
from bev.errors import WeightsError
from bev.files import replacing
from bev.models.weights.parts import unknown_part, within, within_any
from bev.models.weights.report import Mismatch, WeightsReport

# Where training programs put the weights within a checkpoint, averaged ones first.
_CONTAINERS = ("state_dict_ema", "model_ema", "state_dict", "model")
CONFIG = "config"  # where a file of this project's keeps its experiment, as plain data


def read_file(path: Path) -> Any:
    """The content of a weights file or checkpoint, on the CPU: tensors and plain data only.

    Of ``.safetensors`` a mapping with ``state_dict``, and ``config`` where the file carries one.

    Raises:
        WeightsError: where the file does not exist, cannot be read, or holds objects that only
            running code could restore.
    """
    if not path.is_file():
        raise WeightsError(f"Weights file {path} does not exist.")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                about = file.metadata() or {}
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            config = {CONFIG: json.loads(about[CONFIG])} if CONFIG in about else {}
            return current_tensors({"state_dict": state, **config})
        # timm's own training leaves its command line in a checkpoint.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return current_tensors(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        why = (
            f"it holds {foreign[1]}, which is neither a tensor nor plain data and could run code;"
            " save the model's state_dict alone"
            if foreign
            else "it is no torch file, or a damaged one"
        )
        raise WeightsError(f"Weights file {path} cannot be read: {why}.") from error
    except (RuntimeError, EOFError, OSError, ValueError, SafetensorError) as error:
        raise WeightsError(f"Weights file {path} cannot be read ({first_line(error)}).") from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file (``.safetensors``, or torch's), by name.

    Of a checkpoint its model's, averaged ones where there are any. Names lose what wrappers put
    there: ``module.`` (data parallel) and ``_orig_mod.`` (compile).

    Raises:
        WeightsError: as :func:`read_file`, and where there are no tensors.
    """
    return weights_of(read_file(path), str(path))


def write_weights(
    path: Path, state: Mapping[str, Tensor], config: Mapping[str, Any] | None = None
) -> None:
    """Write named tensors as safetensors, with the plain data of their config where there is one.

    Raises:
        WeightsError: for another suffix than ``.safetensors``.
    """
    if path.suffix != ".safetensors":
        raise WeightsError(f"Weights are written as safetensors: {path} must end in .safetensors.")
    about = {"format": "pt"} | ({} if config is None else {CONFIG: json.dumps(config)})
    # Some lie in memory as convolutions like them; the file has them as they are read.
    plain = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_bytes(save(plain, about))  # with the permissions of any other file


def weights_of(content: Any, source: str) -> dict[str, Tensor]:
    """The tensors of a file's content, see :func:`read_weights`; ``source`` names it in errors."""
    for name in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
            break
    named = content.items() if isinstance(content, Mapping) else ()
    found = {str(name): value for name, value in named if isinstance(value, Tensor)}
    if not found:
        raise WeightsError(f"{source} holds no named tensors; save a model's state_dict.")
    clean = {_unwrapped(name): value for name, value in found.items()}
    if len(clean) < len(found):
        raise WeightsError(f"{source} holds one model twice, wrapped and not; save one of them.")
    return clean


@torch.no_grad()
def load_weights(
    model: nn.Module,
    state: Mapping[str, Tensor],
    source: str,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
) -> WeightsReport:
    """Copy into a model what fits by name and shape.

    Args:
        model: takes the weights in place.
        state: tensors by name, see :func:`read_weights`.
        source: what the report and errors call them.
        only: parts of the model to load (see ``bev.models.weights.parts``); empty for all.
        skip: parts not to load.

    Raises:
        WeightsError: where nothing fits, or a part named in ``only`` or ``skip`` is none of the
            model, or one in ``only`` gets no tensor.
    """
    here = model.state_dict()
    if unknown := unknown_part(here, (*only, *skip)):
        raise WeightsError(unknown)
    renamed, note = _renamed(state, here)
    wanted = {
        name for name in here if (not only or within_any(name, only)) and not within_any(name, skip)
    }
    both = [name for name in here if name in wanted and name in renamed]
    matched = [name for name in both if here[name].shape == renamed[name].shape]
    mismatched = [
        Mismatch(name, tuple(renamed[name].shape), tuple(here[name].shape))
        for name in both
        if here[name].shape != renamed[name].shape
    ]
    for part in only or ("",):
        if not any(within(name, part) for name in matched):
            what = f"Part {part!r} of the model" if part else "The model"
            first = [name for name in here if within(name, part)][:1]
            raise WeightsError(
                f"{what} gets no tensor from {source}: names or shapes differ (first here:"
                f" {first}, first there: {list(state)[:1]})."
            )
    for name in matched:
        here[name].copy_(renamed[name])
    known = set(here)
    original = dict(zip(renamed, state, strict=True))
    return WeightsReport(
        source,
        tuple(matched),
        tuple(name for name in here if name in wanted and name not in renamed),
        tuple(mismatched),
        tuple(original[name] for name in renamed if name not in known),
        tuple(name for name in here if name not in wanted),
        (note,) if note else (),
    )


def renamed_in_order(
    state: Mapping[str, Tensor], here: Mapping[str, Tensor], source: str = "the file"
) -> dict[str, Tensor]:
    """The same tensors under a model's names, for a file whose names differ and whose order agrees.

    Args:
        state: the file's tensors.
        here: the model's ``state_dict()``.
        source: what errors call the file.

    Raises:
        WeightsError: where the numbers of tensors or any two shapes differ.
    """
    for (there, value), (name, own) in zip(state.items(), here.items(), strict=False):
        if value.shape != own.shape:
            raise WeightsError(
                f"The order of {source} is another: {there} {tuple(value.shape)} would become"
                f" {name} {tuple(own.shape)}."
            )
    if len(state) != len(here):
        raise WeightsError(f"{source} has {len(state)} tensors and the model {len(here)}.")
    return dict(zip(here, state.values(), strict=True))


def _renamed(
    state: Mapping[str, Tensor], here: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], str]:
    """The file's tensors in its order, with the prefix taken off or put on by which most names fit.

    Tensors that do not carry a prefix to be taken off keep their names.
    """
    names, known = list(state), set(here)
    best, count = names, sum(name in known for name in names)
    note = ""
    for prefix in _prefixes(names):
        off = [name.removeprefix(prefix) for name in names]
        fitting = sum(name in known for name in off)
        if fitting > count and len(set(off)) == len(off):
            best, count, note = off, fitting, f"names taken without {prefix!r}"
    for prefix in _prefixes(here):
        on = [prefix + name for name in names]
        fitting = sum(name in known for name in on)
        if fitting > count:
            best, count, note = on, fitting, f"names taken with {prefix!r} before them"
    return dict(zip(best, state.values(), strict=True)), note


def _prefixes(names: Iterable[str]) -> list[str]:
    """The dotted beginnings of names, three words at most, shortest first."""
    found: dict[str, None] = {}
    for depth in (1, 2, 3):
        for name in names:
            words = name.split(".")
            if len(words) > depth:
                found[".".join(words[:depth]) + "."] = None
    return list(found)


def _unwrapped(name: str) -> str:
    name = name.replace("_orig_mod.", "")
    while name.startswith("module."):
        name = name.removeprefix("module.")
    return name


def first_line(error: Exception) -> str:
    """The first line of an error of another library."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
