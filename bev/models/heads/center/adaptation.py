"""Adaptation of trained weights to a center head with other settings.

Matching by names and shapes only would be wrong: task 0 of a head may contain cars in one
experiment and pedestrians in another, with tensors of equal shapes. Weights are therefore matched
by the saved settings:

- A task takes the tensors of the saved task that shares the most classes with it; heatmap rows are
  matched by class. A task that shares no class keeps its initial values.
- Heading branches with another number of direction bins, and attribute branches of another label
  space, keep their initial values.
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
    """Adapt the tensors of a state dict to the head; see ``Head.adapted``.

    Raises:
        WeightsError: if the saved settings contain no valid tasks, or fewer than the tensors.
    """
    plain = saved.get(name)
    settings = dict(plain) if isinstance(plain, Mapping) else {}
    settings = current_fields(type(head.config), settings, name)
    labels = saved.get("labels")
    space = from_plain(LabelSpace, labels, "labels") if isinstance(labels, Mapping) else None
    if (tasks := settings.get("tasks")) is None:
        if "tasks" not in settings or space is None:
            return dict(state), []
        tasks = [list(task) for task in space.tasks]
    if not _are_tasks(tasks):
        raise WeightsError(
            f"The config in the weights file has no valid tasks of classes: {tasks}."
        )
    state, texts = matched_by_classes(state, tasks, head.classes, head.state_dict(), name)
    notes = [Note((f"{name}.",), text) for text in texts]
    direction_bins, wanted = settings.get("direction_bins") or 1, head.config.direction_bins
    reset: dict[tuple[str, ...], str] = {}  # branches to the reason for initial values
    if direction_bins != wanted:
        reset["heading", "direction"] = (
            f"the model has {wanted} direction bins and the file {direction_bins}"
        )
    if space is not None and space.attributes != head.space.attributes:
        reset["attribute",] = "the file has attributes of another label space"
    for branches, text in reset.items():
        pattern = rf"(^|\.){re.escape(name)}\.tasks\.\d+\.({'|'.join(branches)})\."
        kept = {key: value for key, value in state.items() if not re.search(pattern, key)}
        if len(kept) < len(state):
            notes.append(Note((f"{name}.",), f"{name}.tasks.*.{branches[0]} not loaded: {text}"))
        state = kept
    return state, notes


def _are_tasks(plain: Any) -> bool:
    def is_list(value: Any, kind: type) -> bool:
        return isinstance(value, list) and all(isinstance(item, kind) for item in value)

    return is_list(plain, list) and all(is_list(task, str) for task in plain)


def matched_by_classes(
    state: Mapping[str, Tensor],
    saved_tasks: Tasks,
    head_tasks: Tasks,
    head_state: Mapping[str, Tensor],
    head: str = "head",
) -> tuple[dict[str, Tensor], list[str]]:
    """Rename the tensors of tasks to the tasks of the head that share their classes.

    Args:
        state: tensors of a detector, with any prefix.
        saved_tasks: tasks of the head of that detector.
        head_tasks: tasks of the head to fill.
        head_state: ``state_dict()`` of the head to fill, the source of heatmap rows of new classes.
        head: name of the head in the model.

    Returns:
        The tensors, and a note for each task that differs. Tensors of tasks that match no task of
        the head get a name that states their classes.

    Raises:
        WeightsError: if the state has more tasks than ``saved_tasks``.
    """
    tasks = [tuple(task) for task in saved_tasks]
    if tasks == [tuple(task) for task in head_tasks]:
        return dict(state), []
    pattern = re.compile(_TASK.format(head=re.escape(head)))
    matches = {name: match for name in state if (match := pattern.match(name))}
    if any(int(match["task"]) >= len(tasks) for match in matches.values()):
        raise WeightsError(
            f"The weights of the head contain more tasks than the config in the file: {tasks}."
        )
    result = {name: value for name, value in state.items() if name not in matches}
    notes, used = [], set()
    for number, classes in enumerate(head_tasks):
        shared = [len(set(classes) & set(task)) for task in tasks]
        if not max(shared, default=0):
            notes.append(f"{head}.tasks.{number} ({', '.join(classes)}): not in the file")
            continue
        source = shared.index(max(shared))
        used.add(source)
        rows = {classes.index(c): tasks[source].index(c) for c in classes if c in tasks[source]}
        if tasks[source] != tuple(classes):
            notes.append(_sentence(f"{head}.tasks.{number}", classes, rows))
        last = _last_heatmap(match["rest"] for match in matches.values())
        for name, match in matches.items():
            if int(match["task"]) != source:
                continue
            value, rest = state[name], match["rest"]
            target = head_state.get(f"tasks.{number}.{rest}")
            if rest.startswith(last) and target is not None and value.shape[1:] == target.shape[1:]:
                value = _with_rows(target, value, rows)
            result[f"{match['front']}{number}.{rest}"] = value
    for name, match in matches.items():
        if int(match["task"]) not in used:
            result[f"{name} (of {', '.join(tasks[int(match['task'])])})"] = state[name]
    return result, notes


def _last_heatmap(names: Iterable[str]) -> str:
    """Name prefix of the layer that outputs the heatmaps, with one row per class."""
    layers = [int(name.split(".")[1]) for name in names if name.startswith("heatmap.")]
    return f"heatmap.{max(layers, default=0)}."


def _with_rows(target: Tensor, source: Tensor, rows: Mapping[int, int]) -> Tensor:
    filled = target.detach().cpu().clone()
    if rows:
        filled[torch.tensor(list(rows))] = source[torch.tensor(list(rows.values()))].to(filled)
    return filled


def _sentence(task: str, classes: Sequence[str], rows: Mapping[int, int]) -> str:
    loaded = ", ".join(classes[row] for row in rows)
    new = ", ".join(name for row, name in enumerate(classes) if row not in rows)
    text = f"{task}: heatmap rows loaded for {loaded}"
    return f"{text}; new for {new}" if new else text
