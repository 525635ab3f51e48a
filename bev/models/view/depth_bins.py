"""Depth bins: discretisation of the camera depth into intervals."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bev.bounds import check_clashes
from bev.errors import ConfigError


@dataclass(frozen=True)
class DepthBinning:
    """Base class of depth discretisations with D bins; a subclass defines the bin edges."""

    @property
    def bins(self) -> int:
        """Number of bins, D."""
        return len(self.edges()) - 1

    def edges(self, device: torch.device | str | None = None) -> Float[Tensor, " edges"]:
        """D + 1 bin edges in ascending order, metres."""
        raise ConfigError(f"{type(self).__name__} does not define the method edges.")

    def check(self) -> None:
        """Validate the bin edges.

        Raises:
            ConfigError: if ``edges()`` fails, or does not return a tensor of two or more ascending,
                nonnegative depths.
        """
        name = type(self).__name__
        try:
            edges = self.edges("cpu")  # also if the model is built on the meta device
        except TypeError as error:
            raise ConfigError(f"{name}.edges(device=None) cannot be called: {error}.") from error
        sound = isinstance(edges, Tensor) and edges.ndim == 1 and len(edges) >= 2
        if not sound or not (edges.diff() > 0).all() or edges[0] < 0:
            raise ConfigError(
                f"{name}.edges returns {edges}; return a tensor of two or more depths in metres,"
                " ascending and nonnegative."
            )

    def centers(self, device: torch.device | str | None = None) -> Float[Tensor, " D"]:
        """Centre of each bin, metres: the mean of its edges."""
        edges = self.edges(device)
        return (edges[:-1] + edges[1:]) / 2

    def index_of(self, depth: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """Bin index of each depth (metres); -1 outside all bins and for NaN."""
        edges = self.edges(depth.device)
        depth = depth.to(edges.dtype)
        index = torch.bucketize(depth, edges, right=True) - 1
        return torch.where(depth < edges[-1], index, -1)


@dataclass(frozen=True)
class ListedDepthBins(DepthBinning):
    """Depth bins between explicitly listed edges.

    Attributes:
        borders: bin edges in ascending order, metres.

    Raises:
        ConfigError: if there are fewer than two edges, or they are negative or not ascending.
    """

    borders: tuple[float, ...] = (1.0, 60.0)

    def __post_init__(self) -> None:
        check_clashes(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about edges that cannot be used."""
        pairs = zip(self.borders, self.borders[1:], strict=False)
        if len(self.borders) < 2 or self.borders[0] < 0 or any(b <= a for a, b in pairs):
            yield (
                f"Depth bins with the edges {self.borders} need at least two ascending, nonnegative"
                " edges."
            )

    def edges(self, device: torch.device | str | None = None) -> Float[Tensor, " edges"]:
        return torch.tensor(self.borders, device=device)


@dataclass(frozen=True)
class DepthBins(DepthBinning):
    """Regular depth bins: D = round((hi - lo) / step) intervals, metres.

    The lens defines depth (:class:`bev.geometry.Lens`): for a pinhole it is the z coordinate in the
    camera frame, for a fisheye the distance.

    Edge i of 0..D is at

    - "uniform": lo + i * step;
    - "log": lo * (hi / lo)^(i / D), so that bin widths increase by a constant factor;
    - "linear": lo + (hi - lo) * i (i + 1) / (D (D + 1)), so that bin widths increase by a constant
      difference (linear-increasing discretisation; Reading et al., CaDDN 2021, section 3.1).

    Bin i covers [edge i, edge i + 1). The last edge is ``hi`` to within float32 rounding.

    Attributes:
        lo: lower edge of the first bin.
        hi: upper edge of the last bin.
        step: bin width; the mean width if widths differ.
        spacing: dependence of bin widths on depth.

    Raises:
        ConfigError: if the range is invalid or not divisible by the step, or if "log" starts at 0.
    """

    lo: float = 1.0
    hi: float = 60.0
    step: float = 1.0
    spacing: Literal["uniform", "log", "linear"] = "uniform"

    def __post_init__(self) -> None:
        check_clashes(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about a range that cannot be used."""
        sound = self.step > 0 and math.inf > self.hi > self.lo >= 0
        steps = (self.hi - self.lo) / self.step if sound else math.inf
        if not math.isfinite(steps) or abs(steps - self.bins) > 1e-3:
            yield (
                f"Depth bins (lo {self.lo}, hi {self.hi}, step {self.step}) need 0 <= lo < hi and"
                " a positive step that divides the range."
            )
        if self.spacing == "log" and self.lo == 0:
            yield "Depth bins with logarithmic spacing cannot begin at lo = 0."

    @property
    def bins(self) -> int:
        return round((self.hi - self.lo) / self.step)

    def edges(self, device: torch.device | str | None = None) -> Float[Tensor, " edges"]:
        index = torch.arange(self.bins + 1, device=device)
        if self.spacing == "log":
            return self.lo * torch.exp(index * (math.log(self.hi / self.lo) / self.bins))
        if self.spacing == "linear":
            unit = (self.hi - self.lo) / (self.bins * (self.bins + 1))
            return self.lo + index * (index + 1) * unit
        return self.lo + index * self.step

    def centers(self, device: torch.device | str | None = None) -> Float[Tensor, " D"]:
        """Centre of each bin, metres: the mean of its edges; for "log", the geometric mean."""
        if self.spacing == "uniform":
            return self.lo + (torch.arange(self.bins, device=device) + 0.5) * self.step
        if self.spacing == "log":
            edges = self.edges(device)
            return (edges[:-1] * edges[1:]).sqrt()
        return super().centers(device)
