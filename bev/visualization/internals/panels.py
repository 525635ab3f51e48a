"""Sheets of the internals: panels in rows with titles, colour scales and a header."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bev.data.batch import Batch
from bev.data.frame import Frame
from bev.geometry import BevGrid, feature_cells
from bev.visualization.bev_view import BevView, CellColors, draw_bev
from bev.visualization.canvas import draw_text, text_size
from bev.visualization.colors import DARK, LIGHT, Theme
from bev.visualization.internals.run import Sample
from bev.visualization.layout import camera_places

MARGIN, GAP, HEADER, CAPTION, SCALE = 16, 10, 54, 24, 46
_DARK, _LIGHT = 80, 175  # mean brightness below and above which a map is dark or light


@dataclass(frozen=True)
class Scale:
    """A colour scale of values.

    Attributes:
        low, high: values at its ends.
        title: what the values are, with their unit.
        colormap: name of a colormap of matplotlib.
        reverse: whether the colormap runs from ``high`` to ``low``.
    """

    low: float
    high: float
    title: str
    colormap: str = "magma"
    reverse: bool = False

    def colors(self, values: Float[Tensor, "*shape"]) -> UInt8[np.ndarray, "*shape 3"]:
        """Colours of values; those beyond the ends have the colour of the end."""
        import matplotlib

        span = max(self.high - self.low, 1e-12)
        share = np.clip((values.double().cpu().numpy() - self.low) / span, 0, 1)
        table = matplotlib.colormaps[self.colormap](1 - share if self.reverse else share)
        return np.round(255 * table[..., :3]).astype(np.uint8)


@dataclass(frozen=True)
class Panel:
    """A picture with a title above it.

    Attributes:
        title: the title.
        image: RGB.
    """

    title: str
    image: UInt8[np.ndarray, "H W 3"]


def draw_panels(
    sample: Sample,
    rows: Sequence[Sequence[Panel]],
    scales: Sequence[Scale] = (),
    *,
    title: str,
    note: str = "",
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw rows of panels below a header, and colour scales below them.

    Args:
        sample: sample, whose frame is named in the header.
        rows: panels of each row; those of a column have the same width.
        scales: colour scales.
        title: title of the picture.
        note: note at the right of the header.
    """
    theme = sample.theme
    widths = [max(panel.image.shape[1] for panel in row) for row in rows]
    heights = [max(panel.image.shape[0] for panel in row) for row in rows]
    across = max(
        len(row) * width + (len(row) - 1) * GAP for row, width in zip(rows, widths, strict=True)
    )
    across = max(across, text_size(title, 17, bold=True)[0])
    height = HEADER + sum(CAPTION + height + GAP for height in heights)
    height += SCALE if scales else MARGIN - GAP
    sheet = np.empty((height, across + 2 * MARGIN, 3), np.uint8)
    sheet[:] = theme.background
    draw_title(sheet, sample.frame, title, note, theme)
    top = HEADER
    for row, tall, width in zip(rows, heights, widths, strict=True):
        for number, panel in enumerate(row):
            left = MARGIN + number * (width + GAP)
            draw_text(sheet, panel.title, (left, top + CAPTION - 8), 12, theme.text)
            rows_of, columns = panel.image.shape[:2]
            place = sheet[top + CAPTION :, left:]
            place[:rows_of, :columns] = panel.image
        top += CAPTION + tall + GAP
    left = MARGIN
    for scale in scales:
        left += draw_scale(sheet, scale, (left, top + 14), theme) + 3 * GAP
    return sheet


def draw_title(
    sheet: UInt8[np.ndarray, "H W 3"], frame: Frame, title: str, note: str, theme: Theme
) -> None:
    """Draw the header: title and, as far as there is room, scene, token and note."""
    right, baseline = sheet.shape[1] - MARGIN, HEADER - 20
    draw_text(sheet, title, (MARGIN, baseline), 17, theme.text, bold=True)
    left = MARGIN + text_size(title, 17, bold=True)[0] + 18
    room = right - left
    where = next(
        (t for t in (f"{frame.scene}  ·  {frame.token}", frame.scene)
         if text_size(t, 13)[0] + (text_size(note, 13)[0] + 24 if note else 0) <= room),
        "",
    )  # fmt: skip
    draw_text(sheet, where, (left, baseline), 13, theme.faint_text)
    if text_size(note, 13)[0] <= room:
        draw_text(sheet, note, (right, baseline), 13, theme.faint_text, anchor="rs")


def draw_scale(
    sheet: UInt8[np.ndarray, "H W 3"], scale: Scale, at: tuple[int, int], theme: Theme
) -> int:
    """Draw a colour scale with its ends and title; returns its width, pixels."""
    x, y = at
    low, high = f"{scale.low:.3g}", f"{scale.high:.3g}"
    draw_text(sheet, low, (x, y + 9), 12, theme.text)
    left = x + text_size(low, 12)[0] + 6
    colors = scale.colors(torch.linspace(scale.low, scale.high, 200))
    bar = sheet[max(y - 1, 0) : y + 11, left : left + 200]
    bar[:] = colors[None, : bar.shape[1]]
    text = f"{high}  {scale.title}"
    draw_text(sheet, text, (left + 206, y + 9), 12, theme.text)
    return left + 206 + text_size(text, 12)[0] - x


def camera_rows(frame: Frame, panels: Sequence[Panel]) -> list[list[Panel]]:
    """Arrange one panel per camera as the cameras look around the ego vehicle."""
    places = camera_places([camera.name for camera in frame.cameras])
    rows: dict[int, list[tuple[int, Panel]]] = {}
    for (row, column), panel in zip(places, panels, strict=True):
        rows.setdefault(row, []).append((column, panel))
    ordered = (sorted(rows[row], key=lambda entry: entry[0]) for row in sorted(rows))
    return [[panel for _, panel in row] for row in ordered]


def camera_title(frame: Frame, index: int) -> str:
    """Name of a camera for pictures."""
    return frame.cameras[index].name.removeprefix("CAM_").replace("_", " ").lower()


def network_image(batch: Batch, index: int, width: int) -> UInt8[np.ndarray, "H W 3"]:
    """The network's image of one camera, scaled to a width."""
    pixels = np.ascontiguousarray(batch.views.images[0, index].permute(1, 2, 0).cpu().numpy())
    height = max(round(width * pixels.shape[0] / pixels.shape[1]), 1)
    method = cv2.INTER_AREA if width < pixels.shape[1] else cv2.INTER_LINEAR
    return cv2.resize(pixels, (width, height), interpolation=method)


def over_image(
    image: UInt8[np.ndarray, "H W 3"],
    colors: UInt8[np.ndarray, "h w 3"],
    image_size: tuple[int, int],
    stride: float,
    opacity: Float[np.ndarray, "h w"] | float = 0.65,
) -> UInt8[np.ndarray, "H W 3"]:
    """Lay the cells of a feature map over the network's image.

    Args:
        image: the network's image, at any size.
        colors: colours of the cells; the map is centred in the image if it does not fill it.
        image_size: (height, width) of the network's input, pixels.
        stride: pixels of the input per cell.
        opacity: of each cell, or of all.
    """
    (height, width), (rows, columns) = image.shape[:2], colors.shape[:2]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    size = torch.tensor([image_size[1] / width, image_size[0] / height])
    pixels = (torch.stack([x, y], dim=-1) + 0.5) * size
    cells = feature_cells(pixels, image_size, (rows, columns), stride).floor().long().numpy()
    column, row = cells[..., 0], cells[..., 1]
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    row, column = row.clip(0, rows - 1), column.clip(0, columns - 1)
    weight = np.broadcast_to(np.asarray(opacity, float), (rows, columns))[row, column] * inside
    over = colors[row, column]
    mixed = (1 - weight[..., None]) * image + weight[..., None] * over
    return np.round(mixed).astype(np.uint8)


def bev_panel(
    title: str,
    colors: UInt8[np.ndarray, "Y X 3"],
    grid: BevGrid,
    pixels: int,
    theme: Theme,
    **drawn,
) -> Panel:
    """Panel with the cells of a BEV map in colours; further arguments of ``draw_bev``.

    Over a dark map, lines have the colours of the dark theme in every theme, and likewise over a
    light one.
    """
    brightness = float(colors.mean())
    theme = DARK if brightness < _DARK else LIGHT if brightness > _LIGHT else theme
    opaque = np.concatenate([colors, np.full((*colors.shape[:2], 1), 255, np.uint8)], axis=2)
    view = BevView(pixels, reach_of(grid))
    cells = CellColors(grid, opaque)
    return Panel(title, draw_bev(view, cells=cells, theme=theme, **drawn))


def reach_of(grid: BevGrid) -> float:
    """Distance from the ego vehicle to the border of a view of the whole grid, metres."""
    return 1.02 * max(map(abs, (*grid.x[:2], *grid.y[:2])))
