"""The figures of one head on one split, and what is shown of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scores:
    """What the evaluation of a head found.

    Attributes:
        figures: by name, in the order that they are shown in; the first is the head's headline.
        classes: by class, the value of each column ("AP", ...); NaN where one has no meaning, and
            empty for heads without classes.
        note: definition of the figures, where it is needed to compare them; else empty.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    note: str = ""
