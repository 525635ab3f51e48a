"""The label space of a data source: classes, attributes of boxes, and map/BEV segmentation layers.

All properties of a class (possible attributes, task of the center head, parameters of non-maximum
suppression, evaluation of its heading, colour) are defined together with the class by its data
source; no other part of the project lists classes. A detector stores its label space in its config,
so a checkpoint contains the names of the classes that it predicts.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from bev.bounds import Bound, NonNegative, Positive, Probability
from bev.errors import ConfigError

Byte = Annotated[int, Bound(least=0, most=255)]


@dataclass(frozen=True)
class ObjectClass:
    """An object class.

    Attributes:
        name: name, unique within the label space.
        attributes: possible attributes of its boxes.
        at_rest, moving: default attribute of a predicted box by its speed; empty for none.
        task: name of the class's task: classes of one task share a branch of the center head and
            suppress one another. Empty for a separate task.
        nms_rescale_factor: factor on length and width before overlaps are computed (scale-NMS,
            Huang et al., BEVDet 2021, section 3.5); large for thin objects.
        nms_overlap: rotated IoU above which the box with the lower score is removed.
        nms_radius: distance of centres in metres below which the box with the lower score is
            removed (circle NMS).
        heading: "full" if front and back differ, "axis" if boxes rotated by pi are the same,
            "none" if the heading has no meaning.
        moves: whether the velocity has a meaning.
        color: (red, green, blue) 0-255 in visualizations; None for a color chosen by the class's
            index.
    """

    name: str
    attributes: tuple[str, ...] = ()
    at_rest: str = ""
    moving: str = ""
    task: str = ""
    nms_rescale_factor: Positive = 1.0
    nms_overlap: Probability = 0.2
    nms_radius: NonNegative = 1.0
    heading: Literal["full", "axis", "none"] = "full"
    moves: bool = True
    color: tuple[Byte, Byte, Byte] | None = None


@dataclass(frozen=True)
class Layer:
    """A segmentation layer: polygons on the ground.

    Attributes:
        name: name, unique within the label space.
        color: (red, green, blue) 0-255 in visualizations; None for a color chosen by the layer's
            index.
        of_boxes: the polygons are footprints of annotated boxes, which have a visibility.
        of_map: the polygons come from a map and are available only within ``data.polygons.reach``
            of the ego vehicle.
    """

    name: str
    color: tuple[Byte, Byte, Byte] | None = None
    of_boxes: bool = False
    of_map: bool = False


@dataclass(frozen=True)
class LabelSpace:
    """Classes, attributes and layers; boxes and polygons store indices into these tuples.

    Attributes:
        classes: object classes, see ``Boxes3D.label``.
        attributes: names of box attributes, see ``Boxes3D.attribute``.
        layers: segmentation layers, see ``Polygons.layer``.

    Raises:
        ConfigError: for a duplicate or empty name, or for an attribute of a class that is not in
            ``attributes``.
    """

    classes: tuple[ObjectClass, ...] = ()
    attributes: tuple[str, ...] = ()
    layers: tuple[Layer, ...] = ()

    def __post_init__(self) -> None:
        kinds = {"class": self.names, "attribute": self.attributes, "layer": self.layer_names}
        for kind, names in kinds.items():
            for name in names:
                if not name or names.count(name) > 1:
                    why = "occurs twice" if name else "has no name"
                    raise ConfigError(
                        f"The label space's {kind} {name!r} {why}; names must be unique and not"
                        " empty."
                    )
        for one in self.classes:
            own = {*one.attributes, *filter(None, (one.at_rest, one.moving))}
            if unknown := sorted(own - set(self.attributes)):
                raise ConfigError(
                    f"Class {one.name!r} has the attribute {unknown[0]!r}, which is not in the"
                    f" label space; its attributes are {', '.join(self.attributes) or 'none'}."
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
        """Names of the classes grouped by task, tasks in the order of their first class."""
        grouped: dict[str, tuple[str, ...]] = {}
        for one in self.classes:
            key = one.task or f"\0{one.name}"
            grouped[key] = (*grouped.get(key, ()), one.name)
        return tuple(grouped.values())

    def renamed(self, other: "LabelSpace") -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
        """Differences to another label space: (kind of names, names here, names there) each."""
        pairs = {
            "classes": (self.names, other.names),
            "attributes": (self.attributes, other.attributes),
            "layers": (self.layer_names, other.layer_names),
        }
        return [(what, *pair) for what, pair in pairs.items() if pair[0] != pair[1]]

    def check(self, where: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
        """Check the names in a setting: all must be known and unique.

        Args:
            where: name of the setting, for messages.
            names: names in the setting.
            known: valid names: :attr:`names` or :attr:`layer_names`.

        Raises:
            ConfigError: names the first invalid name and the valid ones.
        """
        for name in names:
            if name not in known or names.count(name) > 1:
                why = "named twice" if name in known else "unknown"
                raise ConfigError(
                    f"{where}: {name!r} is {why}; known: {', '.join(known) or 'none'}."
                )


UNNAMED = LabelSpace()
"""Label space of boxes whose class names are unknown: visualizations show the indices."""
