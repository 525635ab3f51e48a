"""Depth bins: how a camera's viewing depth is cut into intervals."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bev.errors import ConfigError


@dataclass(frozen=True)
class DepthBinning:
    """Common base of the ways to cut depth into D bins: a subclass gives the edges between them."""

    @property
    def bins(self) -> int:
        """Their number, D."""
        return len(self.edges()) - 1

    def edges(self, device: torch.device | str | None = None) -> Float[Tensor, " edges"]:
        """Where bins begin and end, metres, rising: D + 1 of them."""
        raise ConfigError(f"{type(self).__name__} does not give the edges of its bins (edges).")

    def check(self) -> None:
        """Refuse edges that are none.

        Raises:
            ConfigError: where ``edges()`` fails, or gives no tensor of two or more that rise.
        """
        name = type(self).__name__
        try:
            edges = self.edges("cpu")  # also where a model is built on no device
        except TypeError as error:
            raise ConfigError(f"{name}.edges(device=None) cannot be called: {error}.") from error
        sound = isinstance(edges, Tensor) and edges.ndim == 1 and len(edges) >= 2
        if not sound or not (edges.diff() > 0).all() or edges[0] < 0:
            raise ConfigError(
                f"{name}.edges gives {edges}; give a tensor of two or more depths in metres, from 0"
                " on, that rise."
            )

    def centers(self, device: torch.device | str | None = None) -> Float[Tensor, " D"]:
        """The middle of each bin, metres: the mean of its edges."""
        edges = self.edges(device)
        return (edges[:-1] + edges[1:]) / 2

    def index_of(self, depth: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """The bin that each depth (metres) lies in; -1 outside of all bins, and for NaN."""
        edges = self.edges(depth.device)
        depth = depth.to(edges.dtype)
        index = torch.bucketize(depth, edges, right=True) - 1
        return torch.where(depth < edges[-1], index, -1)


@dataclass(frozen=True)
class ListedDepthBins(DepthBinning):
    """Bins between listed edges, metres.

    Raises:
        ConfigError: for fewer than two edges, a negative one, or edges that do not rise.
    """

    borders: tuple[float, ...] = (1.0, 60.0)

    def __post_init__(self) -> None:
        pairs = zip(self.borders, self.borders[1:], strict=False)
        if len(self.borders) < 2 or self.borders[0] < 0 or any(b <= a for a, b in pairs):
            raise ConfigError(
                f"Depth bins with the edges {self.borders} need at least two, from 0 metres on,"
                " that rise."
            )

    def edges(self, device: torch.device | str | None = None) -> Float[Tensor, " edges"]:
        return torch.tensor(self.borders, device=device)


@dataclass(frozen=True)
class DepthBins(DepthBinning):
    """D = round((hi - lo) / step) intervals of depth, metres.

    Depth is what a camera's lens measures (:class:`bev.geometry.Lens`): of a pinhole the z
    coordinate in the camera frame, of a fisheye the distance.

    Edge i of 0..D stands at

    - "uniform": lo + i * step;
    - "log": lo * (hi / lo)^(i / D), so that each bin is wider than the last by the same factor;
    - "linear": lo + (hi - lo) * i (i + 1) / (D (D + 1)), so that each bin is wider than the last by
      the same length (linear-increasing discretisation; Reading et al., CaDDN 2021, section 3.1).

    Bin i covers [edge i, edge i + 1). The last edge is ``hi`` to within float32 rounding.

    Attributes:
        lo: where the first bin begins.
        hi: where the last bin ends.
        step: width of a bin, the mean width where widths differ.
        spacing: how widths grow with depth.

    Raises:
        ConfigError: for a range or a step that gives no whole number of bins, and for "log" from 0.
    """

    lo: float = 1.0
    hi: float = 60.0
    step: float = 1.0
    spacing: Literal["uniform", "log", "linear"] = "uniform"

    def __post_init__(self) -> None:
        sound = self.step > 0 and self.hi > self.lo >= 0
        if not sound or abs((self.hi - self.lo) / self.step - self.bins) > 1e-3:
            raise ConfigError(
                f"Depth bins (lo {self.lo}, hi {self.hi}, step {self.step}) need 0 <= lo < hi and"
                " a positive step that divides the range."
            )
        if self.spacing == "log" and self.lo == 0:
            raise ConfigError("Depth bins spaced by the logarithm cannot begin at lo = 0.")

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
        """The middle of each bin, metres: the mean of its edges, for "log" the geometric mean."""
        if self.spacing == "uniform":
            return self.lo + (torch.arange(self.bins, device=device) + 0.5) * self.step
        if self.spacing == "log":
            edges = self.edges(device)
            return (edges[:-1] * edges[1:]).sqrt()
        return super().centers(device)
