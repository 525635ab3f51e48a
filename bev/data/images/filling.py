"""Rasterisation of polygons by OpenCV, as Lift-Splat-Shoot makes its ground truth.

Philion and Fidler (2020), in their code: corners are rounded to cells, and ``fillPoly`` fills the
polygon between them, border cells included. More cells are marked than have their centre inside
(:func:`bev.geometry.covered`); published figures refer to these.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bev.geometry import BevGrid, Polygons


@torch.no_grad()
def filled(
    polygons: Sequence[Polygons], layers: Sequence[int], grid: BevGrid, min_visibility: int = 0
) -> Bool[Tensor, "B K Y X"]:
    """Mask of the cells that OpenCV fills, per sample (B) and layer (K), on the CPU.

    Holes are filled too. Arguments are those of :func:`bev.geometry.covered`.
    """
    import cv2

    _, rows, columns = grid.shape
    # Indexed [x, y] like the published image, as the filled border depends on the order of axes.
    masks = np.zeros((len(polygons), len(layers), columns, rows), np.uint8)
    low, step = np.array([grid.x[0], grid.y[0]]), np.array([grid.x[2], grid.y[2]])
    for sample, own in enumerate(polygons):
        shown = (own.visibility == 0) | (own.visibility >= min_visibility)
        for number, layer in enumerate(layers):
            for corners in rings(own[shown & (own.layer == layer)]):
                cells = np.round((corners - low) / step).astype(np.int32)
                cv2.fillPoly(masks[sample, number], [cells[:, ::-1]], (1,))
    return torch.from_numpy(masks).transpose(-1, -2).bool()


def rings(polygons: Polygons) -> Iterator[Float[np.ndarray, "n 2"]]:
    """Corners of each polygon, metres; the edges of a polygon must follow one another."""
    edges = polygons.edges.cpu().double().numpy()
    begin = 0
    for number, (_, end) in enumerate(edges):
        if np.array_equal(end, edges[begin, 0]):
            yield edges[begin : number + 1, 0]
            begin = number + 1
