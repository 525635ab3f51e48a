"""Sum of column entries into BEV cells, in two forms."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from bev.lab.deploy.settings import Form


class Pooling(nn.Module):
    """Base class of the forms: entries (B, E, C) to cells (B, cells, C).

    Attributes:
        names: calibration arrays that the form reads.
        cells: number of cells.
    """

    names: tuple[str, ...]

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, entries: Float[Tensor, "B E C"], arrays: Mapping[str, Tensor]) -> Tensor:
        raise NotImplementedError


class ScatterPooling(Pooling):
    """Scatter with addition: one ScatterElements whose reduction is ``add``."""

    names = ("target",)

    def forward(
        self, entries: Float[Tensor, "B E C"], arrays: Mapping[str, Tensor]
    ) -> Float[Tensor, "B cells C"]:
        index = arrays["target"].reshape(1, -1, 1).expand_as(entries)
        cells = entries.new_zeros(entries.shape[0], self.cells + 1, entries.shape[2])
        return cells.scatter_add(1, index, entries)[:, : self.cells]


class PaddedPooling(Pooling):
    """Two gathers of padded segments with sums, which every runtime has, TensorRT among them.

    Entries are gathered into segments of equal length, whose sums are gathered by the cells.
    """

    names = ("segments", "places")

    def forward(
        self, entries: Float[Tensor, "B E C"], arrays: Mapping[str, Tensor]
    ) -> Float[Tensor, "B cells C"]:
        padded = nn.functional.pad(entries, (0, 0, 0, 1))
        sums = _gathered(padded, arrays["segments"])
        return _gathered(sums, arrays["places"])


def _gathered(rows: Float[Tensor, "B R C"], index: Tensor) -> Float[Tensor, "B S C"]:
    """Sum of the rows that are named in each row of the index (S, L)."""
    picked = rows.index_select(1, index.reshape(-1))
    return picked.unflatten(1, (-1, index.shape[1])).sum(2)


def pooling(form: Form, cells: int) -> Pooling:
    """Create the pooling of a form."""
    return {"scatter": ScatterPooling, "padded": PaddedPooling}[form](cells)
