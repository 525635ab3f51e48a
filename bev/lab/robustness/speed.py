"""Time of the corruptions of images, against the package imagecorruptions on the same machine."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from bev.data.images.corruptions.corruption import KINDS, Corruption
from bev.data.images.loading import decode
from bev.errors import print_warnings
from bev.lab.benchmark.records import write_csv
from bev.lab.benchmark.timing import Work, median_seconds
from bev.lab.robustness.robobev import SEVERITIES

_PACKAGE = {"MotionBlur": "motion_blur", "Brightness": "brightness", "Fog": "fog", "Snow": "snow"}
_NO_PACKAGE = (
    "The package imagecorruptions is not installed, so there is nothing to compare with; install it"
    " without its dependencies, which would replace OpenCV: pip install --no-deps"
    " imagecorruptions-imaug==1.1.5 (it needs numba and scikit-image)."
)


@dataclass(frozen=True)
class Row:
    """Time of a corruption, a mean over RoboBEV's three severities.

    Attributes:
        kind: name of the corruption.
        milliseconds: median time of an image.
        package: that of the package; 0 if it does not have the corruption or is not installed.
    """

    kind: str
    milliseconds: float
    package: float


def run(out: Path, image: Path | None, rounds: int) -> list[Row]:
    """Measure on one thread and print; write ``corruptions.csv`` into ``out``.

    Args:
        out: output folder.
        image: image file; None for random detail of 1600x900.
        rounds: measurements of each corruption and severity.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        rows = _rows(_detail() if image is None else decode(image), rounds)
    finally:
        cv2.setNumThreads(threads)
    write_csv(rows, out / "corruptions.csv")
    return rows


def table(rows: list[Row]) -> str:
    """Human-readable table of the rows."""
    lines = [f"{'corruption':14}{'ms/image':>10}{'package':>10}{'share':>8}"]
    for row in rows:
        package = f"{row.package:10.0f}{row.milliseconds / row.package:8.2f}" if row.package else ""
        lines.append(f"{row.kind:14}{row.milliseconds:10.0f}{package or f'{chr(45):>10}'}")
    return "\n".join(lines)


def _rows(image: np.ndarray, rounds: int) -> list[Row]:
    corrupt = _package()
    print(f"an image of {image.shape[1]}x{image.shape[0]}, one thread", flush=True)
    rows = []
    for kind in KINDS:
        works: dict[str, Work] = {}
        for severity in SEVERITIES[kind]:
            own = Corruption(kind, severity)
            works[f"own {severity}"] = partial(own.apply, image, "")
            if corrupt is not None and kind in _PACKAGE:
                name = _PACKAGE[kind]
                works[f"package {severity}"] = partial(
                    corrupt, image, severity=severity, corruption_name=name
                )
        taken = median_seconds(works, torch.device("cpu"), rounds, seconds=1e9)
        means = [
            1000 * float(np.mean([t for name, t in taken.items() if name.startswith(who)] or [0]))
            for who in ("own", "package")
        ]
        rows.append(Row(kind, *means))
    return rows


def _package() -> Callable[..., np.ndarray] | None:
    """Function of the package that corrupts an image; None, with a warning, without the package."""
    try:
        package: Any = importlib.import_module("imagecorruptions")
    except ImportError:
        print_warnings([_NO_PACKAGE])
        return None
    return package.corrupt


def _detail() -> np.ndarray:
    """Image of 1600x900 with detail of several sizes."""
    rng, total = np.random.default_rng(0), np.zeros((900, 1600, 3), np.float32)
    for step in (2, 8, 32, 128):
        size = (900 // step + 2, 1600 // step + 2, 3)
        coarse = rng.normal(0, step**0.7, size).astype(np.float32)
        total += cv2.resize(coarse, (1600, 900), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 1.5 * total, 0, 255).astype(np.uint8)
