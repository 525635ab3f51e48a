"""Layout of a sheet: cameras arranged as around the ego vehicle, with the BEV beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

_PLACES = {
    "CAM_FRONT_LEFT": (0, 0), "CAM_FRONT": (0, 1), "CAM_FRONT_RIGHT": (0, 2),
    "CAM_BACK_LEFT": (1, 0), "CAM_BACK": (1, 1), "CAM_BACK_RIGHT": (1, 2),
}  # fmt: skip
GAP, MARGIN, HEADER, LEGEND = 6, 16, 54, 44


@dataclass(frozen=True)
class Layout:
    """Positions and sizes on a sheet, pixels.

    Attributes:
        size: (height, width) of the sheet.
        tile: (height, width) of each camera image.
        tiles: (left, top) of each camera image, in the order of the cameras.
        bev: (left, top) of the BEV.
        bev_pixels: side length of the BEV.
        legend: (left, baseline) of the legend.
    """

    size: tuple[int, int]
    tile: tuple[int, int]
    tiles: tuple[tuple[int, int], ...]
    bev: tuple[int, int]
    bev_pixels: int
    legend: tuple[int, int]


def camera_places(names: Sequence[str]) -> list[tuple[int, int]]:
    """Row and column of each camera: around the ego vehicle for nuScenes cameras, else row by row.

    Rows and columns without a camera are left out.
    """
    if all(name in _PLACES for name in names) and len(set(names)) == len(names):
        places = [_PLACES[name] for name in names]
    else:
        places = [divmod(i, 3) for i in range(len(names))]
    rows = sorted({row for row, _ in places})
    columns = sorted({column for _, column in places})
    return [(rows.index(row), columns.index(column)) for row, column in places]


def sheet_layout(names: Sequence[str], aspect: float, width: int = 480) -> Layout:
    """Compute the layout of a sheet.

    Args:
        names: names of the cameras.
        aspect: height / width of the camera images.
        width: width of each camera image, pixels.
    """
    height = round(width * aspect)
    places = camera_places(names)
    rows = max((row for row, _ in places), default=-1) + 1
    columns = max((column for _, column in places), default=-1) + 1
    block = (rows * (height + GAP), columns * (width + GAP))
    bev_pixels = max(block[0] - GAP + LEGEND, min(580, round(580 * width / 480)))
    tiles = tuple(
        (MARGIN + column * (width + GAP), HEADER + row * (height + GAP)) for row, column in places
    )
    bev = (MARGIN + block[1] + (GAP if columns else 0), HEADER)
    size = (HEADER + bev_pixels + MARGIN, bev[0] + bev_pixels + MARGIN)
    legend = (MARGIN, HEADER + bev_pixels - 10)
    return Layout(size, (height, width), tiles, bev, bev_pixels, legend)
