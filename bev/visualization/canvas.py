"""Lines, fills and text in an RGB image, with sub-pixel positions.

All coordinates are continuous (pixel centres at integer + 0.5); the half pixel to the convention of
OpenCV is subtracted in this file only.
"""

import struct
import zlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageFont

from bev.data.frame import CameraFrame
from bev.data.images import loading
from bev.data.images.loading import decode
from bev.files import replacing
from bev.visualization.colors import Color

BITS = 5  # fractional bits of OpenCV's fixed-point coordinates
_PNG_HEADER = 33  # bytes of the signature and of the chunk IHDR
_FARTHEST = 30000  # pixels; larger coordinates are clipped to avoid overflow


def load_image(path: Path | str, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 RGB.

    Raises:
        DataError: if the file cannot be used, or ``size`` is given and differs, see
            :func:`bev.data.images.loading.decode`.
    """
    return cv2.cvtColor(decode(Path(path), size=size), cv2.COLOR_BGR2RGB)


def load_camera(camera: CameraFrame) -> np.ndarray:
    """Read the whole image of a camera, without distortion, as (H, W, 3) uint8 RGB.

    Raises:
        DataError: if the file cannot be used, or has another size than its calibration; names the
            camera.
    """
    if camera.stored is None:
        with loading.naming(camera.name):
            return load_image(camera.path, camera.size)
    image = loading.load_image(camera, torch.eye(3, dtype=torch.float64), camera.size)
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())


def save_png(image: np.ndarray, path: Path | str, software: str = "bevlab") -> Path:
    """Write an (H, W, 3) uint8 RGB image as PNG, atomically; creates the folder.

    The file names the software that made it, by the keyword of the PNG standard, see
    :func:`names_software`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise OSError(f"OpenCV could not encode the picture for {path}.")
    png, text = data.tobytes(), b"tEXtSoftware\0" + software.encode("latin-1")
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    with replacing(path) as partial:
        partial.write_bytes(png[:_PNG_HEADER] + chunk + png[_PNG_HEADER:])
    return path


def names_software(path: Path, software: str) -> bool:
    """Return whether a PNG file was written by :func:`save_png` with this software's name."""
    text = b"tEXtSoftware\0" + software.encode("latin-1")
    with path.open("rb") as file:
        start = file.read(_PNG_HEADER + 4 + len(text))
    return start[:4] == b"\x89PNG" and start.endswith(text)


def fixed_point(points: np.ndarray) -> np.ndarray:
    """Convert continuous coordinates (..., 2) to fixed-point integers of OpenCV."""
    points = np.clip(np.asarray(points, dtype=np.float64) - 0.5, -_FARTHEST, _FARTHEST)
    return np.round(points * (1 << BITS)).astype(np.int32)


def draw_segments(
    image: np.ndarray, segments: np.ndarray, color: Color, thickness: int = 1
) -> None:
    """Draw straight lines in place.

    Args:
        image: (H, W, 3) uint8.
        segments: (S, 2, 2) end points (x, y), continuous pixels.
        color: RGB.
        thickness: line width, pixels.
    """
    lines = list(fixed_point(segments).reshape(-1, 2, 2))
    cv2.polylines(image, lines, False, color, thickness, cv2.LINE_AA, BITS)


def dashes(segments: np.ndarray, dash: float = 5.0, gap: float = 4.0) -> np.ndarray:
    """Cut segments (S, 2, 2) into dashes (D, 2, 2); lengths in pixels."""
    segments = np.asarray(segments, dtype=np.float64).reshape(-1, 2, 2)
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    segments, lengths = segments[lengths > 0], lengths[lengths > 0]
    # Dashes at both ends keep corners closed.
    counts = np.maximum(np.round((lengths - dash) / (dash + gap)).astype(int), 1)
    steps = np.maximum(lengths - dash, 0.0) / counts
    owner = np.repeat(np.arange(len(segments)), counts + 1)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts + 1) - counts - 1, counts + 1)
    begin = number * steps[owner]
    finish = np.minimum(begin + dash, lengths[owner])
    shares = np.stack([begin, finish], axis=1) / lengths[owner, None]
    start, along = segments[owner, :1], segments[owner, 1:] - segments[owner, :1]
    return start + shares[..., None] * along


def fill_polygon(
    image: np.ndarray, polygon: np.ndarray, color: Color, opacity: float = 1, convex: bool = True
) -> None:
    """Fill a polygon (P, 2) of continuous pixels in place, blended over the image."""
    if len(polygon) < 3:
        return
    height, width = image.shape[:2]
    polygon = np.clip(polygon, -_FARTHEST, _FARTHEST)
    low = np.clip(np.floor(polygon.min(axis=0)).astype(int) - 1, 0, (width, height))
    high = np.clip(np.ceil(polygon.max(axis=0)).astype(int) + 1, 0, (width, height))
    if (high <= low).any():
        return
    part = image[low[1] : high[1], low[0] : high[0]]
    mask = np.zeros(part.shape[:2], np.uint8)
    if convex:
        cv2.fillConvexPoly(mask, fixed_point(polygon - low), (255,), cv2.LINE_AA, BITS)
    else:
        cv2.fillPoly(mask, [fixed_point(polygon - low)], (255,), cv2.LINE_AA, BITS)
    _blend(part, mask * (opacity / 255), color)


def draw_dots(image: np.ndarray, points: np.ndarray, colors: np.ndarray, radius: float = 1) -> None:
    """Draw filled discs in place, in the given order.

    Args:
        image: (H, W, 3) uint8.
        points: (P, 2) continuous pixels.
        colors: (P, 3) uint8, or (3,) for all points.
        radius: pixels.
    """
    colors = np.broadcast_to(colors, (len(points), 3)).tolist()
    size = max(1, round(radius * (1 << BITS)))
    for point, color in zip(fixed_point(points).tolist(), colors, strict=True):
        cv2.circle(image, point, size, color, -1, cv2.LINE_AA, BITS)


def text_size(text: str, size: int, bold: bool = False) -> tuple[int, int]:
    """Width and height of a line of text, pixels; the height is that of capital letters."""
    font = _font(size, bold)
    return round(font.getlength(text)), -round(font.getbbox("H", anchor="ls")[1])


def draw_text(
    image: np.ndarray,
    text: str,
    at: tuple[float, float],
    size: int = 13,
    color: Color = (255, 255, 255),
    *,
    anchor: str = "ls",
    bold: bool = False,
    plate: Color | None = None,
    opacity: float = 0.72,
) -> None:
    """Draw a line of text in place.

    Args:
        image: (H, W, 3) uint8.
        text: text to draw.
        at: position (x, y) of the anchor, pixels.
        size: font size, pixels.
        color: RGB.
        anchor: point of the text at this position, as two letters of Pillow: l m r for left,
            middle, right; a m s for top, middle, baseline.
        bold: whether the font is bold.
        plate: colour of a plate behind the text, or None.
        opacity: opacity of the plate.
    """
    if not text:
        return
    font = _font(size, bold)
    left, top, right, bottom = font.getbbox(text, anchor=anchor)
    if plate is not None:
        (x, y), (pad_x, pad_y) = at, (0.4 * size, 0.28 * size)
        box = ((left - pad_x, top - pad_y), (right + pad_x, top - pad_y),
               (right + pad_x, bottom + pad_y), (left - pad_x, bottom + pad_y))  # fmt: skip
        fill_polygon(image, np.add(box, (x, y)), plate, opacity)
    mask, offset = font.getmask2(text, mode="L", anchor=anchor)
    ink = np.array(Image.frombytes("L", mask.size, bytes(mask)), dtype=np.float64) / 255
    x0, y0 = round(at[0]) + offset[0], round(at[1]) + offset[1]
    x1, y1 = max(x0, 0), max(y0, 0)
    part = image[y1 : max(y0 + ink.shape[0], 0), x1 : max(x0 + ink.shape[1], 0)]
    ink = ink[y1 - y0 :, x1 - x0 :][: part.shape[0], : part.shape[1]]
    _blend(part, ink, color)


def _blend(part: np.ndarray, opacity: np.ndarray, color: Color) -> None:
    weight = opacity[..., None]
    part[...] = np.round(part * (1 - weight) + weight * np.asarray(color)).astype(np.uint8)


@lru_cache(maxsize=32)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    package = find_spec("matplotlib")  # not imported: that takes a tenth of a second
    if package is None or package.origin is None:
        raise ImportError("matplotlib, whose fonts are used in pictures, is not installed")
    fonts = Path(package.origin).with_name("mpl-data") / "fonts" / "ttf"
    return ImageFont.truetype(str(fonts / name), size)
