"""Pictures of samples inside a report: their mosaics, downscaled."""

import base64
from dataclasses import dataclass

import numpy as np

from bev.evaluation.breakdown.samples import SampleErrors

WIDTH = 1240  # pixels
QUALITY = 70  # of JPEG


@dataclass(frozen=True)
class Extremes:
    """Rows of the samples with the lowest and the highest error, the most extreme first."""

    best: tuple[int, ...]
    worst: tuple[int, ...]


def extremes(samples: SampleErrors, count: int) -> Extremes:
    """Choose up to ``count`` best and as many worst samples; no sample is both.

    Of equal errors, the sample with more hits is better, and the one with more misses worse.
    Samples without any box are neither.
    """
    rows = np.flatnonzero(samples.hits + samples.misses + samples.false)
    best = rows[np.lexsort((-samples.hits[rows], samples.error[rows]))]
    worst = rows[np.lexsort((-samples.misses[rows], -samples.error[rows]))]
    last = worst[: min(count, (len(rows) + 1) // 2)].tolist()
    first = [row for row in best[:count].tolist() if row not in last]
    return Extremes(tuple(first[: len(rows) - len(last)]), tuple(last))


def data_uri(picture: np.ndarray, width: int = WIDTH) -> str:
    """A picture as JPEG within a page.

    Args:
        picture: (H, W, 3) uint8 RGB.
        width: largest width, pixels.
    """
    import cv2

    scale = min(1.0, width / picture.shape[1])
    size = (round(picture.shape[1] * scale), max(round(picture.shape[0] * scale), 1))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    done, content = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise RuntimeError("OpenCV cannot write a JPEG.")
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode()
