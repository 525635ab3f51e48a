"""Cameras that are not there stay out of every network: entries of those that are, side by side.

Samples of a batch may have differing numbers of cameras (see ``Views.camera_mask``). Everything learned
runs on the M cameras that are there, so that an absent one costs nothing, and no batch norm or
loss ever sees it. Where all are there, both functions are views.
"""

from jaxtyping import Bool, Shaped
from torch import Tensor


def gather_valid(
    values: Shaped[Tensor, "B N *rest"], camera_mask: Bool[Tensor, "B N"] | None
) -> Shaped[Tensor, "M *rest"]:
    """The entries of the cameras that are there; of all B * N where ``camera_mask`` is None."""
    return values.flatten(0, 1) if camera_mask is None else values[camera_mask]


def scatter_valid(
    valid: Shaped[Tensor, "M *rest"], camera_mask: Bool[Tensor, "B N"] | None, batch: int
) -> Shaped[Tensor, "B N *rest"]:
    """The inverse of :func:`gather_valid` for ``batch`` samples; zero where a camera is absent."""
    if camera_mask is None:
        return valid.unflatten(0, (batch, -1))
    values = valid.new_zeros(*camera_mask.shape, *valid.shape[1:])
    values[camera_mask] = valid
    return values
