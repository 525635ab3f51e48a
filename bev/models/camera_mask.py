"""Gathering and scattering of valid cameras, so that networks never process absent ones.

Samples of a batch may have different numbers of cameras (see ``Views.camera_mask``). All learned
modules run on the M valid cameras, so that absent cameras cost nothing and enter no batch norm and
no loss. If all cameras are valid, both functions return views.
"""

from jaxtyping import Bool, Shaped
from torch import Tensor


def gather_valid(
    values: Shaped[Tensor, "B N *rest"], camera_mask: Bool[Tensor, "B N"] | None
) -> Shaped[Tensor, "M *rest"]:
    """Gather the entries of the valid cameras; all B * N if ``camera_mask`` is None."""
    return values.flatten(0, 1) if camera_mask is None else values[camera_mask]


def scatter_valid(
    valid: Shaped[Tensor, "M *rest"], camera_mask: Bool[Tensor, "B N"] | None, batch: int
) -> Shaped[Tensor, "B N *rest"]:
    """Scatter entries of valid cameras back to ``batch`` samples; absent cameras get zeros."""
    if camera_mask is None:
        return valid.unflatten(0, (batch, -1))
    values = valid.new_zeros(*camera_mask.shape, *valid.shape[1:])
    values[camera_mask] = valid
    return values
