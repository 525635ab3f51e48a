"""Elements of a sheet: camera tiles, header and legend."""

from collections.abc import Sequence

import cv2
import numpy as np

from bev.data.frame import Frame
from bev.visualization.canvas import dashes, draw_segments, draw_text, load_camera, text_size
from bev.visualization.colors import DARK, Color, Theme
from bev.visualization.layout import HEADER, MARGIN, Layout, sheet_layout
from bev.visualization.results.styles import LineStyle


def start_sheet(frame: Frame, camera_width: int, theme: Theme = DARK) -> tuple[Layout, np.ndarray]:
    """Create the layout for the cameras of a frame, and an empty sheet."""
    height, width = tile_size(frame, camera_width)
    layout = sheet_layout([c.name for c in frame.cameras], height / width, camera_width)
    return layout, np.full((*layout.size, 3), theme.background, np.uint8)


def tile_size(frame: Frame, width: int) -> tuple[int, int]:
    """(height, width) of tiles of the shape of the first camera's image, at most 1:4 or 4:1."""
    rows, columns = frame.cameras[0].size if frame.cameras else (9, 16)
    return round(width * min(max(rows / columns, 0.25), 4.0)), width


def camera_tile(
    frame: Frame, index: int, images: Sequence[np.ndarray] | None, size: tuple[int, int]
) -> np.ndarray:
    """Image of one camera, resized to fit (height, width); read from its file if none is given.

    The aspect ratio is kept: if it differs from that of the tile, the image fills only one
    dimension.
    """
    camera = frame.cameras[index]
    image = load_camera(camera) if images is None else images[index]
    scale = min(tile / side for tile, side in zip(size, camera.size, strict=True))
    height, width = (max(round(scale * side), 1) for side in camera.size)
    method = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=method)


def place_tile(
    sheet: np.ndarray,
    layout: Layout,
    index: int,
    tile: np.ndarray,
    name: str,
    theme: Theme = DARK,
) -> None:
    """Copy the drawn tile of a camera to the centre of its place, with its name in the corner."""
    text = name.removeprefix("CAM_").replace("_", " ").lower()
    draw_text(tile, text, (10, 19), 11, theme.text, plate=theme.background, opacity=0.6)
    left, top = layout.tiles[index]
    left += (layout.tile[1] - tile.shape[1]) // 2
    top += (layout.tile[0] - tile.shape[0]) // 2
    sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile


def place_bev(sheet: np.ndarray, layout: Layout, bev: np.ndarray) -> None:
    """Copy the BEV picture to the sheet."""
    left, top = layout.bev
    sheet[top : top + bev.shape[0], left : left + bev.shape[1]] = bev


def draw_header(
    sheet: np.ndarray,
    layout: Layout,
    frame: Frame,
    title: str,
    note: str,
    theme: Theme = DARK,
) -> None:
    """Draw the header: title, scene and token on the left, a note on the right."""
    baseline, right = HEADER - 20, layout.size[1] - MARGIN
    left = MARGIN
    if title:
        draw_text(sheet, title, (left, baseline), 17, theme.text, bold=True)
        left += text_size(title, 17, bold=True)[0] + 18
    note_left = right - text_size(note, 13)[0]
    for text in (f"{frame.scene}  ·  {frame.token}", frame.scene):
        if left + text_size(text, 13)[0] + 24 <= note_left:
            draw_text(sheet, text, (left, baseline), 13, theme.faint_text)
            break
    draw_text(sheet, note, (right, baseline), 13, theme.faint_text, anchor="rs")


def draw_legend(
    sheet: np.ndarray,
    layout: Layout,
    styles: Sequence[tuple[str, LineStyle | None]],
    shown: Sequence[tuple[str, Color]] = (),
    theme: Theme = DARK,
) -> None:
    """Draw the legend below the cameras; it wraps to a second line if the sheet is too narrow.

    Args:
        sheet: picture to draw into.
        layout: layout of the sheet.
        styles: names and line styles of predictions; None for the style of ground truth.
        shown: names and colours of the classes and layers in the picture.
        theme: colours of everything else.
    """
    left, baseline = layout.legend
    limit = layout.bev[0] - MARGIN if layout.tiles else layout.size[1]
    entries: list[tuple[str, Color | None, LineStyle | None]]
    entries = [(name, None, style) for name, style in styles]
    entries += [(name, color, None) for name, color in shown]
    x, y = left, baseline - 14
    for name, color, style in entries:
        width = (38 if color is None else 22) + text_size(name, 12)[0] + 20
        if x + width > limit and x > left:
            x, y = left, y + 18
        if color is None:
            line = np.array([[[x + 2, y - 4], [x + 30, y - 4]]], dtype=float)
            if style is None:
                draw_segments(sheet, dashes(line, 4.0, 3.0), theme.ground_truth, 1)
            elif style.filled:
                draw_segments(sheet, line, theme.faint_text, 3)
            else:
                line = dashes(line, style.dash, style.gap) if style.dash else line
                draw_segments(sheet, line, theme.faint_text, 2)
            draw_text(sheet, name, (x + 38, y), 12, theme.text)
        else:
            sheet[y - 10 : y + 2, x : x + 12] = color
            draw_text(sheet, name, (x + 20, y), 12, theme.text)
        x += width


def draw_depth_scale(
    sheet: np.ndarray, layout: Layout, colors: np.ndarray, farthest: float, theme: Theme = DARK
) -> None:
    """Draw the colour bar of depth below the cameras of a calibration check.

    Args:
        sheet: picture to draw into.
        layout: layout of the sheet.
        colors: (K, 3) uint8 RGB, depth 0 first.
        farthest: depth at the end of the bar, metres.
        theme: colours of the text.
    """
    x, y = layout.legend[0], layout.legend[1] - 14
    bar = cv2.resize(colors[None], (220, 10), interpolation=cv2.INTER_LINEAR)
    draw_text(sheet, "0 m", (x, y), 12, theme.text)
    sheet[y - 10 : y, x + 34 : x + 254] = bar
    draw_text(sheet, f"{farthest:g} m depth", (x + 264, y), 12, theme.text)
