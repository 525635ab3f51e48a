"""Strict conversion of state dicts by rules.

Our model defines the required tensors. For each of them a rule maps its name to the names of the
published tensors it is made of (mostly a single one, unchanged), and its shape to their shapes. A
published tensor that is missing, unexpected or of another shape is reported as a fault.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

Shape = tuple[int, ...]


def same(tensor: Tensor) -> Tensor:
    """Return the published tensor unchanged."""
    return tensor


def same_shape(shape: Shape) -> tuple[Shape, ...]:
    """Shape of a published tensor that is used unchanged."""
    return (shape,)


@dataclass(frozen=True)
class Rule:
    """Rule that makes some of our tensors from published ones.

    Attributes:
        ours: regular expression that matches the whole names of our tensors.
        theirs: names of the published tensors, with ``\\1`` etc. for groups of the expression.
        make: function from the published tensors to our tensor.
        shapes: function from the shape of our tensor to the shapes of the published tensors.
    """

    ours: str
    theirs: tuple[str, ...]
    make: Callable[..., Tensor] = same
    shapes: Callable[[Shape], tuple[Shape, ...]] = same_shape


class Source(NamedTuple):
    """Published tensors that one of our tensors is made of.

    Attributes:
        names: names of the published tensors.
        shapes: expected shapes of the published tensors.
        make: function from the published tensors to our tensor.
    """

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    make: Callable[..., Tensor]


@dataclass(frozen=True)
class Faults:
    """Differences between a published checkpoint and the rules, by published names.

    Attributes:
        missing: tensors that the rules need and the checkpoint lacks.
        unexpected: tensors that the rules do not use.
        misshaped: tensors of another shape.
        differing: tensors that repeat a setting with another value than the config.
    """

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshaped: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()

    def __len__(self) -> int:
        return sum(len(getattr(self, name)) for name in self.__dataclass_fields__)

    def __str__(self) -> str:
        """Description with the first three names of each kind; empty without faults."""
        kinds = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "of another shape": self.misshaped,
            "with other values than the config": self.differing,
        }
        parts = []
        for kind, names in kinds.items():
            if names:
                some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
                parts.append(f"{len(names)} {kind} ({some})")
        return "; ".join(parts)


def sources(rules: Sequence[Rule], wanted: Mapping[str, Shape]) -> dict[str, Source]:
    """Sources of each of our tensors, by the first rule that matches its name.

    Args:
        rules: rules of a published family.
        wanted: names and shapes of our tensors.

    Raises:
        KeyError: if no rule makes one of our tensors (the rules do not fit the model).
    """
    made_of = {}
    for name, shape in wanted.items():
        for rule in rules:
            match = re.fullmatch(rule.ours, name)
            if match:
                theirs = tuple(match.expand(template) for template in rule.theirs)
                made_of[name] = Source(theirs, rule.shapes(shape), rule.make)
                break
        else:
            raise KeyError(f"No rule makes {name}.")
    return made_of


def published_shapes(made_of: Mapping[str, Source]) -> dict[str, Shape]:
    """Names and shapes of the published tensors that are used."""
    pairs = (zip(source.names, source.shapes, strict=True) for source in made_of.values())
    return {name: shape for some in pairs for name, shape in some}


def faults(
    made_of: Mapping[str, Source], restated: Mapping[str, Tensor], published: Mapping[str, Tensor]
) -> Faults:
    """Compare a published state dict with the expected one.

    Args:
        made_of: sources of our tensors, see :func:`sources`.
        restated: expected values of published tensors that are not used because they only repeat
            settings of the config; the checkpoint may lack them.
        published: published state dict.
    """
    needed = published_shapes(made_of)
    shapes = {name: tuple(value.shape) for name, value in published.items()}
    return Faults(
        missing=tuple(name for name in needed if name not in shapes),
        unexpected=tuple(name for name in shapes if name not in needed and name not in restated),
        misshaped=tuple(
            name for name in needed if name in shapes and shapes[name] != needed[name]
        ),
        differing=tuple(
            name for name, value in restated.items() if name in shapes
            and not (shapes[name] == value.shape
                     and torch.allclose(published[name].to(value), value, atol=1e-4))
        ),
    )  # fmt: skip


def converted(made_of: Mapping[str, Source], published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a published state dict, which must have no :func:`faults`, to ours."""
    return {
        name: source.make(*(published[theirs] for theirs in source.names)).contiguous()
        for name, source in made_of.items()
    }
