"""Cameras that are not there stay out of every network: entries of those that are, side by side.

Samples of a batch may have differing numbers of cameras (see ``Views.present``). Everything learned
runs on the M cameras that are there, so that an absent one costs nothing, and no batch norm or
loss ever sees it. Where all are there, both functions are views.
"""

from jaxtyping import Bool, Shaped
from torch import Tensor


def pack(
    values: Shaped[Tensor, "B N *rest"], present: Bool[Tensor, "B N"] | None
) -> Shaped[Tensor, "M *rest"]:
    """The entries of the cameras that are there; of all B * N where ``present`` is None."""
    return values.flatten(0, 1) if present is None else values[present]


def unpack(
    packed: Shaped[Tensor, "M *rest"], present: Bool[Tensor, "B N"] | None, batch: int
) -> Shaped[Tensor, "B N *rest"]:
    """The inverse of :func:`pack` for ``batch`` samples; zero where a camera is absent."""
    if present is None:
        return packed.unflatten(0, (batch, -1))
    values = packed.new_zeros(*present.shape, *packed.shape[1:])
    values[present] = packed
    return values
