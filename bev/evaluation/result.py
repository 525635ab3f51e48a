"""Results of an evaluation: the official metrics where boxes are detected, and figures beside them.

The idea: whatever is measured batch by batch is a sum, so the measures of batches and of processes
add up.
"""

from dataclasses import dataclass

from bev.evaluation.depth import DepthErrors
from bev.evaluation.official import Metrics
from bev.evaluation.segmentation import MEAN, RULE, Overlaps
from bev.evaluation.table import metrics_table


@dataclass(frozen=True)
class Measures:
    """Sums of what is measured beside boxes; those of parts add up."""

    depth: DepthErrors = DepthErrors()
    overlaps: Overlaps = Overlaps()

    def __add__(self, other: "Measures") -> "Measures":
        return Measures(self.depth + other.depth, self.overlaps + other.overlaps)

    def scalars(self) -> dict[str, float]:
        """All figures, for a logger; those that nothing was measured for are left out."""
        return {**self.depth.scalars(), **self.overlaps.scalars()}


@dataclass(frozen=True)
class Result:
    """The end of an evaluation.

    Attributes:
        metrics: official; None without detection.
        figures: the others, by name.
    """

    metrics: Metrics | None
    figures: dict[str, float]

    def scalars(self) -> dict[str, float]:
        """The headline figures, for a logger."""
        return {**(self.metrics.scalars() if self.metrics else {}), **self.figures}

    @property
    def note(self) -> str:
        """Definition of the figures, where it is needed to compare them; else empty."""
        return RULE if MEAN in self.figures else ""

    def text(self) -> str:
        """For a terminal, without a trailing line break."""
        return metrics_table(self.metrics, self.figures)
