"""Random numbers that a corruption draws."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Draws(Protocol):
    """The methods of ``numpy.random.Generator`` that the corruptions of ImageNet-C call."""

    def random(self, size: Any = None, dtype: Any = ...) -> Any:
        """Draw from [0, 1)."""

    def standard_normal(self, size: Any = None, dtype: Any = ...) -> Any:
        """Draw from the normal distribution of mean 0 and standard deviation 1."""


def uniform(draws: Draws, low: float, high: float) -> float:
    """Draw one number from [low, high)."""
    return low + (high - low) * float(draws.random())
