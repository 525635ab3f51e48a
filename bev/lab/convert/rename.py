"""Which published tensors each of our tensors is made of: rules, applied strictly.

The idea: our model says which tensors there must be. A rule leads from each of their names to the
published ones it is made of (mostly one, as it is), and from its shape to theirs. What a published
checkpoint lacks, holds beside, or holds in another shape is a fault with the published name.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

Shape = tuple[int, ...]


def same(tensor: Tensor) -> Tensor:
    """The published tensor as it is."""
    return tensor


def same_shape(shape: Shape) -> tuple[Shape, ...]:
    """The published tensor has our shape."""
    return (shape,)


@dataclass(frozen=True)
class Rule:
    """How some of our tensors are made of published ones.

    Attributes:
        ours: a regular expression that the whole name of each such tensor matches.
        theirs: the published names, with ``\\1`` and so on for the expression's groups.
        make: from the published tensors to ours.
        shapes: from our shape to those of the published tensors.
    """

    ours: str
    theirs: tuple[str, ...]
    make: Callable[..., Tensor] = same
    shapes: Callable[[Shape], tuple[Shape, ...]] = same_shape


class Source(NamedTuple):
    """What one tensor of ours is made of.

    Attributes:
        names, shapes: of the published tensors.
        make: from those to ours.
    """

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    make: Callable[..., Tensor]


@dataclass(frozen=True)
class Faults:
    """Why a published checkpoint is not what the rules expect; names are the published ones.

    Attributes:
        missing: tensors that the rules need.
        unexpected: tensors that the rules know nothing of.
        misshaped: tensors of another shape.
        differing: tensors that restate a setting, and state another than the config.
    """

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshaped: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()

    def __len__(self) -> int:
        return sum(len(getattr(self, name)) for name in self.__dataclass_fields__)

    def __str__(self) -> str:
        """In words, the first three names of each kind; empty without faults."""
        said = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "of another shape": self.misshaped,
            "stating other settings": self.differing,
        }
        parts = []
        for words, names in said.items():
            if names:
                some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
                parts.append(f"{len(names)} {words} ({some})")
        return "; ".join(parts)


def sources(rules: Sequence[Rule], wanted: Mapping[str, Shape]) -> dict[str, Source]:
    """What each tensor of ours is made of, by the first rule that fits its name.

    Args:
        rules: of a published family.
        wanted: our names and shapes.

    Raises:
        KeyError: for a tensor of ours that no rule makes (the rules do not fit the model).
    """
    found = {}
    for name, shape in wanted.items():
        for rule in rules:
            match = re.fullmatch(rule.ours, name)
            if match:
                theirs = tuple(match.expand(template) for template in rule.theirs)
                found[name] = Source(theirs, rule.shapes(shape), rule.make)
                break
        else:
            raise KeyError(f"No rule makes {name}.")
    return found


def published_shapes(made_of: Mapping[str, Source]) -> dict[str, Shape]:
    """Every published tensor that is used, with its shape."""
    pairs = (zip(source.names, source.shapes, strict=True) for source in made_of.values())
    return {name: shape for some in pairs for name, shape in some}


def faults(
    made_of: Mapping[str, Source], restated: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> Faults:
    """Compare a published state dict with what is expected.

    Args:
        made_of: see :func:`sources`.
        restated: published tensors that are not used, since the config says the same, with the
            values that they should have. They may be absent.
        found: the published state dict.
    """
    needed = published_shapes(made_of)
    return Faults(
        missing=tuple(name for name in needed if name not in found),
        unexpected=tuple(name for name in found if name not in needed and name not in restated),
        misshaped=tuple(
            name for name in needed if name in found and tuple(found[name].shape) != needed[name]
        ),
        differing=tuple(
            name for name, value in restated.items() if name in found
            and not (found[name].shape == value.shape
                     and torch.allclose(found[name].to(value), value, atol=1e-4))
        ),
    )  # fmt: skip


def converted(made_of: Mapping[str, Source], found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict of a published one without :func:`faults`."""
    return {
        name: source.make(*(found[theirs] for theirs in source.names)).contiguous()
        for name, source in made_of.items()
    }
