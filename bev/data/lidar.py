"""Reading of lidar files, with a check that they contain what the format demands.

A file has rows of five float32 numbers: x, y, z in metres, and two more (intensity and ring in
nuScenes). Files of other layouts often have a length that fits, and would be read as points that
are nowhere near the surfaces.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from bev.data.storage.remote import present
from bev.errors import DataError

_COLUMNS = 5
ROW_BYTES = 4 * _COLUMNS
_FARTHEST, _MANY_FAR = 1000.0, 1e-3  # metres, and fraction of the points
_NEAREST = 0.1  # metres
_OTHER_LAYOUTS = (3, 4, 6, 7, 8)
_FEWEST = 200  # rows whose columns' spreads are compared
_EQUAL, _UNEQUAL = 1.15, 2.0  # ratio of the spreads of columns


def read_lidar(path: Path, sample: str) -> Float[np.ndarray, "P 3"]:
    """Read the coordinates of a lidar file's points (float32).

    Args:
        path: an existing file.
        sample: token of its sample, for messages.

    Raises:
        DataError: if the file cannot be read, or is not plausible as rows of five numbers.
    """
    try:
        content = present(path).read_bytes()
    except OSError as error:
        raise DataError(
            f"Lidar file {path} of sample {sample} cannot be read ({error.strerror}); restore it."
        ) from error
    if fault := lidar_content_fault(content):
        raise DataError(
            f"Lidar file {path} of sample {sample} {fault}; it is damaged, download it again, or it"
            " has another layout, convert it to rows of 5 float32 numbers (x, y, z in metres,"
            " intensity, ring)."
        )
    return np.frombuffer(content, np.float32).reshape(-1, _COLUMNS)[:, :3]


def lidar_content_fault(content: bytes) -> str:
    """Reason why a lidar file's content is not plausible, as a part of a sentence; or empty."""
    if not content or len(content) % ROW_BYTES:
        looks = _looks_like(np.frombuffer(content[: len(content) // 4 * 4], np.float32))
        return f"contains {len(content)} bytes, not rows of {_COLUMNS} float32 numbers{looks}"
    values = np.frombuffer(content, np.float32)
    points = values.reshape(-1, _COLUMNS)[:, :3]
    # By columns: NumPy is slow at the maxima of short rows.
    farthest = np.abs(np.ascontiguousarray(points.T)).max(axis=0)
    count, lost = len(points), int((~np.isfinite(farthest)).sum())
    far = int((farthest > _FARTHEST).sum())
    if lost or far > _MANY_FAR * count:
        what = f"{lost} that are not finite" if lost else f"{far} beyond {_FARTHEST:.0f} m"
        return f"has among {count} points {what}{_in_doubles(content)}"
    if farthest.max() < _NEAREST:
        return f"has {count} points, all within {_NEAREST} m of the sensor"
    if looks := _looks_like(values):
        return f"does not contain rows of {_COLUMNS} numbers{looks}"
    return ""


def _looks_like(values: np.ndarray) -> str:
    """Number of columns that fits better than five, as a part of a sentence; or empty.

    In rows of another length, each of five columns is the same mixture of all quantities.
    """
    if not len(values) or not np.isfinite(values).all():
        return ""
    fits = len(values) % _COLUMNS == 0
    if fits and not _spread_ratio(values, _COLUMNS) < _EQUAL:
        return ""
    ratios = {
        columns: ratio
        for columns in _OTHER_LAYOUTS
        if len(values) % columns == 0 and (ratio := _spread_ratio(values, columns)) > _UNEQUAL
    }
    if not ratios:
        return ""
    # Columns of 4 are also columns of 8, with nearly the same ratio.
    best = max(ratios.values())
    return f", but looks like rows of {next(n for n, r in ratios.items() if r > 0.8 * best)}"


def _spread_ratio(values: np.ndarray, columns: int) -> float:
    """Largest divided by smallest standard deviation of the columns; NaN for too few rows."""
    if len(values) < _FEWEST * columns:
        return float("nan")
    spread = values.reshape(-1, columns).std(axis=0, dtype=np.float64)
    return float(spread.max() / spread.min()) if spread.min() > 0 else float("inf")


def _in_doubles(content: bytes) -> str:
    """Note that the numbers are plausible as float64; or empty."""
    if len(content) % 8:
        return ""
    farthest = np.abs(np.frombuffer(content, np.float64)).max()
    plausible = _NEAREST < farthest < _FARTHEST  # false if it is not finite
    return ", as if they were float64" if plausible else ""
