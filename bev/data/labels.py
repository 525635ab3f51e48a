"""The label space of a data source: its classes, their attributes, and the layers of its areas.

The idea: whatever depends on a class (which attributes it can have, with which others it shares a
branch of the center head, how its boxes suppress one another, how its heading is scored, its
colour) stands with the class, in the source that has it. Nothing else in the project lists classes.
A detector keeps its label space in its config, so that a checkpoint names what it predicts.
"""

from dataclasses import dataclass
from typing import Literal

from bev.errors import ConfigError


@dataclass(frozen=True)
class ObjectClass:
    """A class of boxes.

    Attributes:
        name: unique within its label space.
        attributes: those that its boxes can have.
        at_rest, moving: the attribute of a box without one, by its speed; empty for none.
        task: classes of one task share a branch of the center head and suppress one another; empty
            for a task of its own.
        nms_rescale_factor: factor on length and width before overlaps are computed (scale-NMS, Huang et al.,
            BEVDet 2021, section 3.5): large for thin objects.
        nms_overlap: rotated overlap above which the lower box goes.
        nms_radius: metres between centres below which the lower box goes ("circle" suppression).
        heading: "full" where front and back differ, "axis" where boxes turned by pi are the same,
            "none" where the heading has no meaning.
        moves: whether its velocity has a meaning.
        color: (red, green, blue) 0-255 in pictures; None for one chosen by its number.
    """

    name: str
    attributes: tuple[str, ...] = ()
    at_rest: str = ""
    moving: str = ""
    task: str = ""
    nms_rescale_factor: float = 1.0
    nms_overlap: float = 0.2
    nms_radius: float = 1.0
    heading: Literal["full", "axis", "none"] = "full"
    moves: bool = True
    color: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Layer:
    """A layer of areas of the ground.

    Attributes:
        name: unique within its label space.
        color: (red, green, blue) 0-255 in pictures; None for one chosen by its number.
        of_boxes: its areas are footprints of annotated boxes, which have a visibility.
        of_map: known within ``data.polygons.reach`` of the car alone, as layers of a map are.
    """

    name: str
    color: tuple[int, int, int] | None = None
    of_boxes: bool = False
    of_map: bool = False


@dataclass(frozen=True)
class LabelSpace:
    """Classes, attributes and layers; numbers in boxes and polygons are places in these tuples.

    Attributes:
        classes: of boxes, ``Boxes3D.label``.
        attributes: of boxes, ``Boxes3D.attribute``.
        layers: of areas, ``Polygons.layer``.

    Raises:
        ConfigError: for a name that stands twice or is empty, and for an attribute of a class that
            is not listed.
    """

    classes: tuple[ObjectClass, ...] = ()
    attributes: tuple[str, ...] = ()
    layers: tuple[Layer, ...] = ()

    def __post_init__(self) -> None:
        kinds = {"class": self.names, "attribute": self.attributes, "layer": self.layer_names}
        for kind, names in kinds.items():
            for name in names:
                if not name or names.count(name) > 1:
                    why = "stands twice" if name else "has no name"
                    raise ConfigError(f"The label space's {kind} {name!r} {why}; name each once.")
        for one in self.classes:
            own = {*one.attributes, *filter(None, (one.at_rest, one.moving))}
            if unknown := sorted(own - set(self.attributes)):
                raise ConfigError(
                    f"Class {one.name!r} has the attribute {unknown[0]!r}, which the label space"
                    f" does not list; it has {', '.join(self.attributes) or 'none'}."
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(one.name for one in self.classes)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of the layers."""
        return tuple(layer.name for layer in self.layers)

    @property
    def tasks(self) -> tuple[tuple[str, ...], ...]:
        """Names of the classes, those of one task together, in the order of their first."""
        found: dict[str, tuple[str, ...]] = {}
        for one in self.classes:
            key = one.task or f"\0{one.name}"
            found[key] = (*found.get(key, ()), one.name)
        return tuple(found.values())

    def renamed(self, other: "LabelSpace") -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
        """The kinds of names in which another label space differs: what, own, the other's."""
        pairs = {
            "classes": (self.names, other.names),
            "attributes": (self.attributes, other.attributes),
            "layers": (self.layer_names, other.layer_names),
        }
        return [(what, *pair) for what, pair in pairs.items() if pair[0] != pair[1]]

    def check(self, where: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
        """Refuse names, chosen in a setting, that are not known or stand twice.

        Args:
            where: the setting, for the message.
            names: chosen.
            known: :attr:`names` or :attr:`layer_names`.

        Raises:
            ConfigError: names the first that is wrong, and those that are known.
        """
        for name in names:
            if name not in known or names.count(name) > 1:
                why = "named twice" if name in known else "unknown"
                raise ConfigError(
                    f"{where}: {name!r} is {why}; known: {', '.join(known) or 'none'}."
                )


UNNAMED = LabelSpace()
"""Of numbers whose names are not known: pictures show these."""
