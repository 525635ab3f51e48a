"""The parts that a sheet is put together from: tiles, title, legend."""

from collections.abc import Sequence

import cv2
import numpy as np

from bev.data.frame import Frame
from bev.visualization.canvas import dashes, draw_segments, draw_text, load_image, text_size
from bev.visualization.colors import BACKGROUND, FAINT_TEXT, GROUND_TRUTH, TEXT, Color
from bev.visualization.layout import HEADER, MARGIN, Layout, sheet_layout


def start_sheet(frame: Frame, camera_width: int) -> tuple[Layout, np.ndarray]:
    """The layout for a frame's cameras, and an empty sheet."""
    height, width = frame.cameras[0].size if frame.cameras else (9, 16)
    layout = sheet_layout([c.name for c in frame.cameras], height / width, camera_width)
    return layout, np.full((*layout.size, 3), BACKGROUND, np.uint8)


def camera_tile(
    frame: Frame, index: int, images: Sequence[np.ndarray] | None, layout: Layout
) -> np.ndarray:
    """The image of one camera at the size of a tile; from its file where none is given.

    It keeps its proportions: where they are not the tile's, it fills it in one direction alone.
    """
    camera = frame.cameras[index]
    image = load_image(camera.path) if images is None else images[index]
    scale = min(tile / own for tile, own in zip(layout.tile, camera.size, strict=True))
    height, width = (round(scale * own) for own in camera.size)
    method = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=method)


def place_tile(sheet: np.ndarray, layout: Layout, index: int, tile: np.ndarray, name: str) -> None:
    """Put a camera's drawn tile into the middle of its place, with its name in the corner."""
    text = name.removeprefix("CAM_").replace("_", " ").lower()
    draw_text(tile, text, (10, 19), 11, TEXT, plate=BACKGROUND, opacity=0.6)
    left, top = layout.tiles[index]
    left += (layout.tile[1] - tile.shape[1]) // 2
    top += (layout.tile[0] - tile.shape[0]) // 2
    sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile


def place_bev(sheet: np.ndarray, layout: Layout, bev: np.ndarray) -> None:
    """Put the BEV onto the sheet."""
    left, top = layout.bev
    sheet[top : top + bev.shape[0], left : left + bev.shape[1]] = bev


def draw_header(sheet: np.ndarray, layout: Layout, frame: Frame, title: str, note: str) -> None:
    """The strip at the top: title, scene and token on the left, a note on the right."""
    baseline, right = HEADER - 20, layout.size[1] - MARGIN
    left = MARGIN
    if title:
        draw_text(sheet, title, (left, baseline), 17, TEXT, bold=True)
        left += text_size(title, 17, bold=True)[0] + 18
    note_left = right - text_size(note, 13)[0]
    for text in (f"{frame.scene}  ·  {frame.token}", frame.scene):
        if left + text_size(text, 13)[0] + 24 <= note_left:
            draw_text(sheet, text, (left, baseline), 13, FAINT_TEXT)
            break
    draw_text(sheet, note, (right, baseline), 13, FAINT_TEXT, anchor="rs")


def draw_legend(
    sheet: np.ndarray,
    layout: Layout,
    styles: Sequence[tuple[str, bool]],
    shown: Sequence[tuple[str, Color]] = (),
) -> None:
    """The strip below the cameras: line styles (name, whether ground truth's), then what is shown.

    Where the sheet is too narrow for all, entries run on to a second line.
    """
    left, baseline = layout.legend
    limit = layout.bev[0] - MARGIN if layout.tiles else layout.size[1]
    entries = [(name, None, ground_truth) for name, ground_truth in styles]
    entries += [(name, color, False) for name, color in shown]
    x, y = left, baseline - 14
    for name, color, is_ground_truth in entries:
        width = (38 if color is None else 22) + text_size(name, 12)[0] + 20
        if x + width > limit and x > left:
            x, y = left, y + 18
        if color is None:
            line = np.array([[[x + 2, y - 4], [x + 30, y - 4]]], dtype=float)
            if is_ground_truth:
                draw_segments(sheet, dashes(line, 4.0, 3.0), GROUND_TRUTH, 1)
            else:
                draw_segments(sheet, line, FAINT_TEXT, 3)
            draw_text(sheet, name, (x + 38, y), 12, TEXT)
        else:
            sheet[y - 10 : y + 2, x : x + 12] = color
            draw_text(sheet, name, (x + 20, y), 12, TEXT)
        x += width


def draw_depth_scale(
    sheet: np.ndarray, layout: Layout, colors: np.ndarray, farthest: float
) -> None:
    """The strip below the cameras of a calibration check: a colour bar of depth.

    Args:
        colors: (K, 3) uint8 RGB, depth 0 first.
        farthest: metres at the end of the bar.
    """
    x, y = layout.legend[0], layout.legend[1] - 14
    bar = cv2.resize(colors[None], (220, 10), interpolation=cv2.INTER_LINEAR)
    draw_text(sheet, "0 m", (x, y), 12, TEXT)
    sheet[y - 10 : y, x + 34 : x + 254] = bar
    draw_text(sheet, f"{farthest:g} m depth", (x + 264, y), 12, TEXT)
