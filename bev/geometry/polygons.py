"""Polygons on the ground as a table of edges, and their rasterisation to a BEV grid.

Edges need no order, so any number of polygons, with holes or overlaps, is one table of edges. A
cell is covered if its centre has a nonzero winding number: a ray from the centre along x
crosses unequal numbers of upward and downward edges. Each polygon around a point adds one to its
winding number, and the border of a hole subtracts one. All cells of a batch are computed at once
and exactly, on any device.
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
    """E edges in one frame. Holes are oriented opposite to the outer borders.

    Attributes:
        edges: (E, 2, 2) from (x, y) to (x, y), metres.
        layer: (E,) index of the polygon's layer in the label space.
        visibility: (E,) nuScenes level 1 (0-40 %) to 4 (80-100 %) of the object; 0 if unknown or
            not applicable.
    """

    edges: Float[Tensor, "E 2 2"]
    layer: Int[Tensor, " E"]
    visibility: Int[Tensor, " E"]

    @classmethod
    def make(cls, edges: Float[Tensor, "E 2 2"], layer: int) -> "Polygons":
        """Create polygons of one layer, with unknown visibility."""
        numbers = torch.full((len(edges),), layer, dtype=torch.long, device=edges.device)
        return cls(edges, numbers, torch.zeros_like(numbers))

    @classmethod
    def of_boxes(cls, boxes: Boxes3D, layer: int) -> "Polygons":
        """Create polygons from the footprints and visibilities of boxes."""
        corners = boxes.footprint()
        edges = torch.stack([corners, corners.roll(-1, dims=1)], dim=2).flatten(0, 1)
        visibility = boxes.visibility.repeat_interleave(4)
        return cls(edges, torch.full_like(visibility, layer), visibility)

    @classmethod
    def empty(cls) -> "Polygons":
        """Create an empty set of edges."""
        return cls.make(torch.zeros(0, 2, 2), 0)

    @classmethod
    def cat(cls, parts: Sequence["Polygons"]) -> "Polygons":
        """Concatenate edges; an empty sequence gives an empty set."""
        parts = parts or [cls.empty()]
        return cls(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)})

    def __len__(self) -> int:
        return len(self.edges)

    def __getitem__(self, index: Tensor) -> "Polygons":
        """Select edges by a mask or indices, which must keep polygons whole."""
        return Polygons(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Polygons":
        """Copy the polygons to a device."""
        return Polygons(
            **{f.name: getattr(self, f.name).to(device, non_blocking=non_blocking)
               for f in fields(self)}
        )  # fmt: skip

    def transform(self, target_from_source: Float[Tensor, "4 4"]) -> "Polygons":
        """Transform the polygons, at height 0, into the xy plane of the target frame."""
        matrix = target_from_source.to(self.edges)
        # Elementwise: a corner shared by two edges must give bit-identical results in both.
        x, y = self.edges.unbind(-1)
        moved = [matrix[i, 0] * x + matrix[i, 1] * y + matrix[i, 3] for i in range(2)]
        return Polygons(torch.stack(moved, dim=-1), self.layer, self.visibility)


@torch.no_grad()
def covered(
    polygons: Sequence[Polygons], layers: Sequence[int], grid: BevGrid, min_visibility: int = 0
) -> Bool[Tensor, "B K Y X"]:
    """Mask of the cells whose centre lies inside a polygon, per sample (B) and layer (K).

    Cell centres within rounding error of a border may be assigned to either side.

    Args:
        polygons: polygons of each sample, BEV frame.
        layers: indices of the K layers in the label space.
        grid: BEV grid; its z range is not used.
        min_visibility: polygons of a known visibility level below this are ignored.
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

    # For every edge and every row of centres that it crosses, the winding number changes by one
    # from the crossing on.
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
