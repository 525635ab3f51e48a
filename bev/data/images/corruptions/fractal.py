"""Plasma fractal, the density of ImageNet-C's fog, by the diamond-square algorithm.

Fournier, Fussell and Carpenter (1982) fill a square grid from coarse to fine: at each level, the
centre of each square is the mean of its four corners plus a random offset, then the middle of each
edge is the mean of its four neighbours plus a random offset; the offsets shrink from level to
level. The grid is a torus. As in ImageNet-C (Hendrycks and Dietterich 2019), the offsets of level k
lie in [-a^2, a^2) with a = 100 / decay^k, and the map is scaled to 0 to 1 at the end.
"""

import numpy as np
from jaxtyping import Float32

from bev.data.images.corruptions.draws import Draws, skip

_FIRST = 100.0


def plasma(
    shape: tuple[int, int], decay: float, draws: Draws
) -> Float32[np.ndarray, "height width"]:
    """Draw the top left window of a map whose side is a power of two; values from 0 to 1.

    The two finest levels are computed in the window alone. Elsewhere they would move the lowest and
    the highest value of the map, to which it is scaled, by at most a thousandth or two of their
    distance in a map of 2048.

    Args:
        shape: (height, width) of the window, pixels.
        decay: factor by which the amplitude shrinks at each level, above 1.
        draws: random numbers; as many are used or left out as the whole map takes.
    """
    levels = max((max(shape) - 1).bit_length(), 2)
    grid = np.zeros((1, 1), np.float32)
    reaches = [(_FIRST / decay**level) ** 2 for level in range(levels)]
    for level, reach in enumerate(reaches[:-2]):
        size = 1 << level
        grid = _refined(grid, (0, 0), (0, size), (0, size), size, reach, draws)
    low, high = grid.min(), grid.max()
    # Fine points [0, 2n) need the coarse ones [-1, n], and those two levels up [-2, n / 2 + 1].
    rows, columns = (-(-length // 2) for length in shape)
    size, down, right = 1 << (levels - 2), (-1, rows // 2 + 1), (-1, columns // 2 + 1)
    grid = _refined(grid, (0, 0), down, right, size, reaches[-2], draws)
    grid = _refined(grid, (-2, -2), (0, rows), (0, columns), 2 * size, reaches[-1], draws)
    grid = grid[: shape[0], : shape[1]]
    low, high = min(low, grid.min()), max(high, grid.max())
    grid -= low
    grid /= high - low
    return grid


def _refined(
    grid: np.ndarray,
    origin: tuple[int, int],
    rows: tuple[int, int],
    columns: tuple[int, int],
    size: int,
    reach: float,
    draws: Draws,
) -> np.ndarray:
    """One level: twice as many points along each side.

    Args:
        grid: points of the level before, the whole map or a part of it with all that is needed.
        origin: (row, column) of the first of these points.
        rows, columns: (first, last + 1) of the points whose squares are refined.
        size: points of the whole map along a side, before.
        reach: offsets are drawn from [-reach, reach).
        draws: random numbers.

    Returns:
        Points 2 * first to 2 * last + 1 of both axes.
    """
    first, count = (rows[0], columns[0]), (rows[1] - rows[0], columns[1] - columns[0])

    def part(values: np.ndarray, start: tuple[int, int], before: int, after: int) -> np.ndarray:
        """The refined points of an array, with some before and after them, around the torus."""
        for axis in (0, 1):
            low, number = first[axis] - before - start[axis], count[axis] + before + after
            if low >= 0 and low + number <= values.shape[axis]:
                values = values[low : low + number] if axis == 0 else values[:, low : low + number]
            else:
                values = values.take(range(low, low + number), axis, mode="wrap")
        return values

    def offsets(before: int) -> np.ndarray:
        """Offsets of the refined points, and of some rows and columns before them."""
        low, high = first[0] - before, first[0] + count[0]
        drawn = part(_rows(draws, size, low, high), (low, 0), before, 0)
        return drawn * np.float32(2 * reach) - np.float32(reach)

    corners = part(grid, origin, 1, 1)
    along = corners[:-1] + corners[1:]
    centres = along[:, :-1] + along[:, 1:]
    centres *= np.float32(0.25)
    centres += offsets(1)
    own, inner = corners[1:-1, 1:-1], centres[1:, 1:]
    found = np.empty((2 * count[0], 2 * count[1]), np.float32)
    found[::2, ::2], found[1::2, 1::2] = own, inner
    for row, beside, across in (
        (0, corners[1:-1, 2:], centres[:-1, 1:]),  # the middle of an edge along a row
        (1, corners[2:, 1:-1], centres[1:, :-1]),  # and along a column
    ):
        mean = own + beside
        mean += inner
        mean += across
        mean *= np.float32(0.25)
        mean += offsets(0)
        found[row::2, 1 - row :: 2] = mean
    return found


def _rows(draws: Draws, size: int, low: int, high: int) -> np.ndarray:
    """Rows [low, high) of size x size drawn numbers, around the torus; others are left out."""
    if high - low >= size:
        drawn = draws.random((size, size), dtype=np.float32)
        return drawn if (low, high) == (0, size) else drawn.take(range(low, high), 0, mode="wrap")
    parts = [draws.random((high, size), dtype=np.float32)]
    skip(draws, (size + low - high) * size)
    if low < 0:
        parts.insert(0, draws.random((-low, size), dtype=np.float32))
    return np.concatenate(parts)
