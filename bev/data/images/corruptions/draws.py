"""Random numbers that a corruption draws."""

from typing import Any, Protocol, runtime_checkable

import numpy as np


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


def skip(draws: Draws, count: int) -> None:
    """Leave out numbers: those that follow are what they are after ``random(count, float32)``."""
    bits = getattr(draws, "bit_generator", None)
    if isinstance(bits, np.random.PCG64) and count % 2 == 0 and not bits.state["has_uint32"]:
        bits.advance(count // 2)  # each step gives two numbers of float32
    elif count:
        draws.random(count, dtype=np.float32)
