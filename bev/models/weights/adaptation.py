"""Trained weights for a detector of another config.

Names and shapes alone would mislead: group 0 of a head may mean cars in one experiment and
pedestrians in the other, with tensors of equal shapes. The file's own config decides:

- Each head adapts its own tensors (``bev.models.heads.base.Head.adapted``).
- Each adjacent frame adds channels to what the BEV encoder reads (see
  ``bev.models.bev.temporal``). Frames are matched by their order there, and weights of a frame
  that is new begin at zero, so that a network of more frames, with the same layers otherwise,
  begins as the one that was trained.
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
    """Load a detector's weights, or parts of them, from a file of any origin.

    Where the file carries its experiment's config, its tensors are adapted to the detector's.

    Args:
        model: takes the weights in place.
        path: the file.
        only, skip: parts of the model, see :func:`bev.models.weights.loading.load_weights`.

    Raises:
        WeightsError: as ``read_weights`` and ``load_weights``, and where the file's config names no
            tasks, or others than its tensors have.
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
    """The tensors of a state dict as a detector of another config can use them.

    Args:
        state: a detector's tensors, with any prefix.
        saved: its model config, as plain data; what it lacks is taken to be the same.
        model: the detector to fill.
    """
    own, here = model.state_dict(), model.config
    notes: list[Note] = []
    for name in here.heads:
        state, found = getattr(model, name).adapted(name, state, saved)
        notes += found
    if joined := _within(saved, "temporal"):
        there = from_plain(TemporalConfig, joined, "temporal")
        state, changed = matched_by_times(state, there, here.temporal, model.view.channels, own)
        if changed:
            text = f"joins {here.temporal.described} here, {there.described} there"
            notes.append(Note(tuple(changed), f"encoder.*: {text}; new inputs begin at zero"))
    return dict(state), notes


def _within(tree: Any, name: str) -> Mapping[str, Any]:
    """A mapping within plain data; empty where there is none of that name."""
    found = tree.get(name) if isinstance(tree, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def matched_by_times(
    state: Mapping[str, Tensor],
    there: TemporalConfig,
    here: TemporalConfig,
    channels: int,
    model: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], list[str]]:
    """The same tensors, those that read the joined times with the inputs that they have here.

    Args:
        state: a detector's tensors, with any prefix.
        there, here: how its times are joined, and those of the model to fill.
        channels: of one time, in the model to fill.
        model: the ``state_dict()`` to fill.

    Returns:
        The tensors, and the names in the model of those that have other inputs.
    """
    before, after = there.layout(channels), here.layout(channels)
    places = {label: number for number, label in enumerate(before)}
    kept = [(number, places[label]) for number, label in enumerate(after) if label in places]
    result, changed = dict(state), []
    if len(before) == len(after):
        return result, changed
    for name, value in state.items():
        own = name[max(name.find("encoder."), 0) :]
        target = model.get(own)
        if not own.startswith("encoder.") or target is None:
            continue
        alike = value.ndim == target.ndim == 4 and (
            (len(value), *value.shape[2:]) == (len(target), *target.shape[2:])
        )
        # Other inputs stand before those of the times.
        others = value.shape[1] - len(before) if alike else -1
        if others < 0 or target.shape[1] - len(after) != others:
            continue
        filled = value.new_zeros(target.shape)
        filled[:, :others] = value[:, :others]
        for to, source in kept:
            filled[:, others + to] = value[:, others + source]
        result[name] = filled
        changed.append(own)
    return result, changed
