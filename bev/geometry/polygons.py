"""Areas of the ground by their edges, and which cells of a BEV grid they cover.

The idea: an area is the closed polygons around it, a polygon is its edges, and edges need no order:
any number of areas, with holes or overlapping, is one table of edges. A cell is covered where its
centre lies inside: a ray from there in +x crosses unequally many edges that go up and down (the
winding number, which is one more for each polygon around a point and none in a hole). All cells of
a batch are counted at once, on any device, exactly and without drawing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bev.geometry.boxes import Boxes3D
from bev.geometry.grid import BevGrid


@dataclass(frozen=True)
class Polygons:
    """E edges in one frame. Outer borders turn one way, the borders of holes the other.

    Attributes:
        edges: (E, 2, 2) from (x, y) to (x, y), metres.
        layer: (E,) what is inside, a place in the label space's layers.
        visibility: (E,) nuScenes level 1 (0-40 %) to 4 (80-100 %) of what is inside; 0 where
            unknown or without meaning.
    """

    edges: Float[Tensor, "E 2 2"]
    layer: Int[Tensor, " E"]
    visibility: Int[Tensor, " E"]

    @classmethod
    def make(cls, edges: Float[Tensor, "E 2 2"], layer: int) -> "Polygons":
        """Polygons of one layer, their visibility unknown."""
        numbers = torch.full((len(edges),), layer, dtype=torch.long, device=edges.device)
        return cls(edges, numbers, torch.zeros_like(numbers))

    @classmethod
    def of_boxes(cls, boxes: Boxes3D, layer: int) -> "Polygons":
        """The footprints of boxes, which keep their visibility."""
        corners = boxes.footprint()
        edges = torch.stack([corners, corners.roll(-1, dims=1)], dim=2).flatten(0, 1)
        visibility = boxes.visibility.repeat_interleave(4)
        return cls(edges, torch.full_like(visibility, layer), visibility)

    @classmethod
    def empty(cls) -> "Polygons":
        """No edges."""
        return cls.make(torch.zeros(0, 2, 2), 0)

    @classmethod
    def cat(cls, parts: Sequence["Polygons"]) -> "Polygons":
        """All edges of the parts; no parts give no edges."""
        parts = parts or [cls.empty()]
        return cls(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)})

    def __len__(self) -> int:
        return len(self.edges)

    def __getitem__(self, index: Tensor) -> "Polygons":
        """Edges chosen by a mask or indices; whole polygons must stay together."""
        return Polygons(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Polygons":
        """The same polygons on another device."""
        return Polygons(
            **{f.name: getattr(self, f.name).to(device, non_blocking=non_blocking)
               for f in fields(self)}
        )  # fmt: skip

    def transform(self, target_from_source: Float[Tensor, "4 4"]) -> "Polygons":
        """The polygons in the target frame: where their points at height 0 lie in x and y."""
        matrix = target_from_source.to(self.edges)
        # Number by number: the two edges of a corner must move to the same bits.
        x, y = self.edges.unbind(-1)
        moved = [matrix[i, 0] * x + matrix[i, 1] * y + matrix[i, 3] for i in range(2)]
        return Polygons(torch.stack(moved, dim=-1), self.layer, self.visibility)


@torch.no_grad()
def covered(
    polygons: Sequence[Polygons], layers: Sequence[int], grid: BevGrid, min_visibility: int = 0
) -> Bool[Tensor, "B K Y X"]:
    """Cells of each of B samples whose centre lies inside an area of each of K layers.

    A centre within rounding of a border may fall on either side.

    Args:
        polygons: of each sample, BEV frame.
        layers: the number of each of the K layers.
        grid: gives the cells; its z range does not matter.
        min_visibility: areas of a known visibility below this level are left out.
    """
    _, rows, columns = grid.shape
    joined = Polygons.cat(list(polygons))
    device = joined.edges.device
    sample = torch.repeat_interleave(
        torch.arange(len(polygons), device=device),
        torch.tensor([len(own) for own in polygons], device=device),
    )
    channel = torch.full_like(joined.layer, -1)
    for number, layer in enumerate(layers):
        channel[joined.layer == layer] = number
    kept = (channel >= 0) & ((joined.visibility == 0) | (joined.visibility >= min_visibility))
    edges, plane = joined.edges[kept], (sample * len(layers) + channel)[kept]

    # Each edge, at every row of centres that it passes: from there on, columns wind once more.
    y = grid.y[0] + (torch.arange(rows, device=device) + 0.5) * grid.y[2]
    below = edges[:, :, 1, None] <= y  # (E, 2, Y)
    edge, row = (below[:, 0] != below[:, 1]).nonzero(as_tuple=True)
    (x0, y0), (x1, y1) = (end.unbind(-1) for end in edges[edge].unbind(1))
    x = x0 + (y[row] - y0) * (x1 - x0) / (y1 - y0)
    column = ((x - grid.x[0]) / grid.x[2] - 0.5).ceil().clamp(0, columns).long()
    turns = torch.zeros(
        len(polygons) * len(layers) * rows * (columns + 1), dtype=torch.int32, device=device
    )
    place = (plane[edge] * rows + row) * (columns + 1) + column
    turns.scatter_add_(0, place, torch.where(y1 > y0, 1, -1).to(turns.dtype))
    winding = turns.view(len(polygons), len(layers), rows, columns + 1).cumsum(dim=-1)
    return winding[..., :columns] != 0
