"""A trained head for another set of classes: its groups are matched by their classes.

Names alone would mislead: group 0 may mean cars in one experiment and pedestrians in the other,
with tensors of equal shapes. A group takes the tensors of the group that shares most classes with
it, and its heatmap the rows of those classes; a group that shares none starts anew.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from bev.errors import WeightsError

Groups = Sequence[Sequence[str]]

_NAME = re.compile(r"^(?P<front>(?:.*\.)?head\.groups\.)(?P<group>\d+)\.(?P<rest>.+)$")


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
    own = {name: match for name in state if (match := _NAME.match(name))}
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
