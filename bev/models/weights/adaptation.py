"""Adaptation of trained weights to a detector with another config.

Matching by names and shapes only would be wrong: task 0 of a head may contain cars in one
experiment and pedestrians in another, with tensors of equal shapes. Weights are therefore matched
by the config in the file:

- Each head adapts its own tensors (``bev.models.heads.base.Head.adapted``).
- Each adjacent frame adds input channels to the BEV encoder (see ``bev.models.bev.temporal``).
  Frames are matched by their order, and the weights of additional frames are initialised to zero,
  so that a network with more frames, and otherwise the same layers, initially computes the same
  output as the trained network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from bev.errors import ConfigError, WeightsError
from bev.models.bev.temporal import TemporalConfig
from bev.models.detector import Detector
from bev.models.heads.base import Note
from bev.models.weights.loading import CONFIG, load_weights, read_file, weights_of
from bev.models.weights.report import WeightsReport
from bev.serialization import from_plain


def load_adapted(
    model: Detector, path: Path, only: Sequence[str] = (), skip: Sequence[str] = ()
) -> WeightsReport:
    """Load the weights of a detector, or of parts of it, from a file of any origin.

    If the file contains the config of its experiment, its tensors are adapted to the detector.

    Args:
        model: detector to load the weights into, in place.
        path: weights file.
        only, skip: parts of the model, see :func:`bev.models.weights.loading.load_weights`.

    Raises:
        WeightsError: see ``read_weights`` and ``load_weights``; also if the config in the file
            contains no valid tasks, or fewer than the tensors.
    """
    content = read_file(path)
    saved = _within(_within(content, CONFIG), "model")
    try:
        state, notes = adapted(weights_of(content, str(path)), saved, model)
    except ConfigError as error:
        raise WeightsError(f"The config in {path} cannot be used: {error}") from error
    report = load_weights(model, state, str(path), only, skip)
    fitting = (
        note.text for note in notes if any(name.startswith(note.parts) for name in report.matched)
    )
    return replace(report, notes=(*report.notes, *fitting))


def adapted(
    state: Mapping[str, Tensor], saved: Mapping[str, Any], model: Detector
) -> tuple[dict[str, Tensor], list[Note]]:
    """Adapt the tensors of a state dict to a detector with another config.

    Args:
        state: tensors of a detector, with any prefix.
        saved: model config of that detector, as plain data; missing settings are assumed equal.
        model: detector to fill.
    """
    config = model.config
    notes: list[Note] = []
    for name in config.heads:
        state, head_notes = getattr(model, name).adapted(name, state, saved)
        notes += head_notes
    if plain := _within(saved, "temporal"):
        before, after = from_plain(TemporalConfig, plain, "temporal"), config.temporal
        state, changed = matched_by_times(
            state, before, after, model.view.channels, model.state_dict()
        )
        if changed:
            text = f"the model joins {after.described} and the file {before.described}"
            notes.append(Note(tuple(changed), f"encoder.*: {text}; new inputs are zero at first"))
    return dict(state), notes


def _within(tree: Any, name: str) -> Mapping[str, Any]:
    """Mapping of this name in plain data; empty if there is none."""
    found = tree.get(name) if isinstance(tree, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def matched_by_times(
    state: Mapping[str, Tensor],
    saved: TemporalConfig,
    current: TemporalConfig,
    channels: int,
    model_state: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], list[str]]:
    """Match the input channels of the BEV encoder by frame.

    Args:
        state: tensors of a detector, with any prefix.
        saved, current: temporal settings of that detector, and of the model to fill.
        channels: BEV channels of one frame in the model to fill.
        model_state: ``state_dict()`` of the model to fill.

    Returns:
        The tensors, and the names (in the model) of the changed ones.
    """
    before, after = saved.layout(channels), current.layout(channels)
    index = {label: number for number, label in enumerate(before)}
    shared = [(number, index[label]) for number, label in enumerate(after) if label in index]
    result = dict(state)
    changed: list[str] = []
    if len(before) == len(after):
        return result, changed
    for name, value in state.items():
        model_name = name[max(name.find("encoder."), 0) :]
        target = model_state.get(model_name)
        if not model_name.startswith("encoder.") or target is None:
            continue
        alike = value.ndim == target.ndim == 4 and (
            (len(value), *value.shape[2:]) == (len(target), *target.shape[2:])
        )
        # Other input channels precede those of the frames.
        others = value.shape[1] - len(before) if alike else -1
        if others < 0 or target.shape[1] - len(after) != others:
            continue
        filled = value.new_zeros(target.shape)
        filled[:, :others] = value[:, :others]
        for to, source in shared:
            filled[:, others + to] = value[:, others + source]
        result[name] = filled
        changed.append(model_name)
    return result, changed
