"""Trained weights for a detector of another config.

Names and shapes alone would mislead: group 0 of a head may mean cars in one experiment and
pedestrians in the other, with tensors of equal shapes. The file's own config decides:

- A group of the head takes the tensors of the group that shares most classes with it, and its
  heatmap the rows of those classes; a group that shares none starts anew.
- Headings by another number of sectors, and areas of other layers, start anew.
- Each adjacent frame adds channels to what the BEV encoder reads (see
  ``bev.models.bev.temporal``). Frames are matched by their order there, and weights of a frame
  that is new begin at zero, so that a network of more frames, with the same layers otherwise,
  begins as the one that was trained.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bev.compatibility import current_fields
from bev.errors import ConfigError, WeightsError
from bev.models.bev.temporal import TemporalConfig
from bev.models.detector import Detector
from bev.models.heads.center.head import CenterHeadConfig
from bev.models.weights.loading import CONFIG, load_weights, read_file, weights_of
from bev.models.weights.report import WeightsReport
from bev.serialization import from_plain

Groups = Sequence[Sequence[str]]

_GROUP = re.compile(r"^(?P<front>(?:.*\.)?head\.groups\.)(?P<group>\d+)\.(?P<rest>.+)$")
_HEADING = re.compile(r"(^|\.)head\.groups\.\d+\.(heading|sector)\.")


class Note(NamedTuple):
    """A sentence for the report, worth saying where a tensor of one of the parts is loaded."""

    parts: tuple[str, ...]
    text: str


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
            class groups, or others than its tensors have.
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
    head = current_fields(CenterHeadConfig, _within(saved, "head"), "head")
    if (groups := head.get("groups")) is not None:
        if not _are_groups(groups):
            raise WeightsError(
                f"The config in the weights file names no class groups, but {groups}."
            )
        state, texts = matched_by_classes(state, groups, here.head.groups, own)
        notes += [Note(("head.",), text) for text in texts]
        sectors = head.get("sectors") or 1
        if sectors != here.head.sectors:
            kept = {name: value for name, value in state.items() if not _HEADING.search(name)}
            if len(kept) < len(state):
                text = f"{here.head.sectors} sectors here, {sectors} there: it starts anew"
                notes.append(Note(("head.",), f"head.groups.*.heading: {text}"))
            state = kept
    if joined := _within(saved, "temporal"):
        there = from_plain(TemporalConfig, joined, "temporal")
        state, changed = matched_by_times(state, there, here.temporal, model.view.channels, own)
        if changed:
            text = f"joins {here.temporal.described} here, {there.described} there"
            notes.append(Note(tuple(changed), f"encoder.*: {text}; new inputs begin at zero"))
    layers, wanted = _within(saved, "segmentation").get("layers"), here.segmentation.layers
    if layers is not None and layers != list(wanted) and here.segments:
        last = f"segmentation.layers.{len(model.segmentation.layers) - 1}."
        kept = {name: value for name, value in state.items() if last not in name}
        if len(kept) < len(state):
            text = f"{last}* predicts {list(wanted)} here and {layers} there: it starts anew"
            notes.append(Note(("",), text))
        state = kept
    return dict(state), notes


def _are_groups(plain: Any) -> bool:
    def is_list(value: Any, kind: type) -> bool:
        return isinstance(value, list) and all(isinstance(item, kind) for item in value)

    return is_list(plain, list) and all(is_list(group, str) for group in plain)


def _within(tree: Any, name: str) -> Mapping[str, Any]:
    """A mapping within plain data; empty where there is none of that name."""
    found = tree.get(name) if isinstance(tree, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def matched_by_classes(
    state: Mapping[str, Tensor], there: Groups, here: Groups, model: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """The same tensors, those of the head's groups under the names that their classes have here.

    Args:
        state: a detector's tensors, with any prefix.
        there, here: class groups of its head, and of the head to fill.
        model: the ``state_dict()`` to fill; rows of classes that are not carried over are taken
            from it.

    Returns:
        The tensors, and a sentence for each group that is not the same. Tensors of groups without
        a class here are named as such.

    Raises:
        WeightsError: where the state has other groups than ``there`` says.
    """
    groups = [tuple(group) for group in there]
    if groups == [tuple(group) for group in here]:
        return dict(state), []
    own = {name: match for name in state if (match := _GROUP.match(name))}
    if any(int(match["group"]) >= len(groups) for match in own.values()):
        raise WeightsError(f"The head has more groups of tensors than its config names: {groups}.")
    result = {name: value for name, value in state.items() if name not in own}
    notes, used = [], set()
    for number, classes in enumerate(here):
        shared = [len(set(classes) & set(group)) for group in groups]
        if not max(shared, default=0):
            notes.append(f"head.groups.{number} ({', '.join(classes)}): no class of it is there")
            continue
        source = shared.index(max(shared))
        used.add(source)
        rows = {classes.index(c): groups[source].index(c) for c in classes if c in groups[source]}
        if groups[source] != tuple(classes):
            notes.append(_sentence(number, classes, rows))
        last = _last_heatmap(match["rest"] for match in own.values())
        for name, match in own.items():
            if int(match["group"]) != source:
                continue
            value, rest = state[name], match["rest"]
            target = model.get(f"head.groups.{number}.{rest}")
            if rest.startswith(last) and target is not None and value.shape[1:] == target.shape[1:]:
                value = _with_rows(target, value, rows)
            result[f"{match['front']}{number}.{rest}"] = value
    for name, match in own.items():
        if int(match["group"]) not in used:
            result[f"{name} (of {', '.join(groups[int(match['group'])])})"] = state[name]
    return result, notes


def _last_heatmap(names: Iterable[str]) -> str:
    """The beginning of the names of the layer that gives the heatmaps, a row a class."""
    layers = [int(name.split(".")[1]) for name in names if name.startswith("heatmap.")]
    return f"heatmap.{max(layers, default=0)}."


def _with_rows(target: Tensor, source: Tensor, rows: Mapping[int, int]) -> Tensor:
    filled = target.detach().cpu().clone()
    if rows:
        places = torch.tensor(list(rows))
        filled[places] = source[torch.tensor(list(rows.values()))].to(filled)
    return filled


def _sentence(number: int, classes: Sequence[str], rows: Mapping[int, int]) -> str:
    kept = ", ".join(classes[row] for row in rows)
    new = ", ".join(name for row, name in enumerate(classes) if row not in rows)
    text = f"head.groups.{number}: heatmap rows carried over for {kept}"
    return f"{text}; new for {new}" if new else text


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
