"""Trained weights for a center head of other settings.

Names and shapes alone would mislead: task 0 of a head may mean cars in one experiment and
pedestrians in the other, with tensors of equal shapes. The saved settings decide:

- A task takes the tensors of the task that shares most classes with it, and its heatmap the rows
  of those classes; a task that shares none starts anew.
- Headings by another number of direction bins, and attributes of another label space, start anew.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bev.compatibility import current_fields
from bev.data.labels import LabelSpace
from bev.errors import WeightsError
from bev.models.heads.base import Note
from bev.serialization import from_plain

if TYPE_CHECKING:
    from bev.models.heads.center.head import CenterHead

Tasks = Sequence[Sequence[str]]

_TASK = r"^(?P<front>(?:.*\.)?{head}\.tasks\.)(?P<task>\d+)\.(?P<rest>.+)$"


def adapted_tasks(
    head: "CenterHead", name: str, state: Mapping[str, Tensor], saved: Mapping[str, Any]
) -> tuple[dict[str, Tensor], list[Note]]:
    """The tensors of a state dict as the head can use them; see ``Head.adapted``.

    Raises:
        WeightsError: where the saved settings name no tasks, or others than the tensors
            have.
    """
    own = saved.get(name)
    there = current_fields(type(head.config), own if isinstance(own, Mapping) else {}, name)
    labels = saved.get("labels")
    space = from_plain(LabelSpace, labels, "labels") if isinstance(labels, Mapping) else None
    if (tasks := there.get("tasks")) is None:
        if "tasks" not in there or space is None:
            return dict(state), []
        tasks = [list(task) for task in space.tasks]
    if not _are_tasks(tasks):
        raise WeightsError(f"The config in the weights file names no tasks, but {tasks}.")
    state, texts = matched_by_classes(state, tasks, head.classes, head.state_dict(), name)
    notes = [Note((f"{name}.",), text) for text in texts]
    direction_bins, wanted = there.get("direction_bins") or 1, head.config.direction_bins
    anew = {}
    if direction_bins != wanted:
        anew["heading", "direction"] = f"{wanted} direction bins here, {direction_bins} there"
    if space is not None and space.attributes != head.space.attributes:
        anew["attribute",] = "attributes of another label space there"
    for branches, text in anew.items():
        pattern = rf"(^|\.){re.escape(name)}\.tasks\.\d+\.({'|'.join(branches)})\."
        kept = {key: value for key, value in state.items() if not re.search(pattern, key)}
        if len(kept) < len(state):
            notes.append(
                Note((f"{name}.",), f"{name}.tasks.*.{branches[0]}: {text}: it starts anew")
            )
        state = kept
    return state, notes


def _are_tasks(plain: Any) -> bool:
    def is_list(value: Any, kind: type) -> bool:
        return isinstance(value, list) and all(isinstance(item, kind) for item in value)

    return is_list(plain, list) and all(is_list(task, str) for task in plain)


def matched_by_classes(
    state: Mapping[str, Tensor],
    there: Tasks,
    here: Tasks,
    own_tensors: Mapping[str, Tensor],
    head: str = "head",
) -> tuple[dict[str, Tensor], list[str]]:
    """The same tensors, those of the head's tasks under the names that their classes have here.

    Args:
        state: a detector's tensors, with any prefix.
        there, here: tasks of its head, and of the head to fill.
        own_tensors: the head's ``state_dict()``; rows of classes that are not carried over are
            taken from it.
        head: its name in the model.

    Returns:
        The tensors, and a sentence for each task that is not the same. Tensors of tasks without
        a class here are named as such.

    Raises:
        WeightsError: where the state has other tasks than ``there`` says.
    """
    tasks = [tuple(task) for task in there]
    if tasks == [tuple(task) for task in here]:
        return dict(state), []
    pattern = re.compile(_TASK.format(head=re.escape(head)))
    own = {name: match for name in state if (match := pattern.match(name))}
    if any(int(match["task"]) >= len(tasks) for match in own.values()):
        raise WeightsError(f"The head has more tasks of tensors than its config names: {tasks}.")
    result = {name: value for name, value in state.items() if name not in own}
    notes, used = [], set()
    for number, classes in enumerate(here):
        shared = [len(set(classes) & set(task)) for task in tasks]
        if not max(shared, default=0):
            notes.append(f"{head}.tasks.{number} ({', '.join(classes)}): no class of it is there")
            continue
        source = shared.index(max(shared))
        used.add(source)
        rows = {classes.index(c): tasks[source].index(c) for c in classes if c in tasks[source]}
        if tasks[source] != tuple(classes):
            notes.append(_sentence(f"{head}.tasks.{number}", classes, rows))
        last = _last_heatmap(match["rest"] for match in own.values())
        for name, match in own.items():
            if int(match["task"]) != source:
                continue
            value, rest = state[name], match["rest"]
            target = own_tensors.get(f"tasks.{number}.{rest}")
            if rest.startswith(last) and target is not None and value.shape[1:] == target.shape[1:]:
                value = _with_rows(target, value, rows)
            result[f"{match['front']}{number}.{rest}"] = value
    for name, match in own.items():
        if int(match["task"]) not in used:
            result[f"{name} (of {', '.join(tasks[int(match['task'])])})"] = state[name]
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


def _sentence(task: str, classes: Sequence[str], rows: Mapping[int, int]) -> str:
    kept = ", ".join(classes[row] for row in rows)
    new = ", ".join(name for row, name in enumerate(classes) if row not in rows)
    text = f"{task}: heatmap rows carried over for {kept}"
    return f"{text}; new for {new}" if new else text
