"""``bevlab rig check``."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from bev.errors import DataError, count_of


@dataclass(frozen=True)
class Check:
    """Draw the calibration of a rig into its images, and warn of what cannot be right.

    One moment is drawn; the sizes and the times of the images of all moments are checked.

    Attributes:
        rig: rig file.
        images: folder of the images.
        out: picture to write.
        moment: moment to draw, as SEQUENCE/NAME or NAME; the first by default.
        poses: CSV or JSON file with poses of the vehicle.
        times: CSV or JSON file with the times of the images.
        theme: dark or light ground.
        all: list all findings, not ten of each kind.
    """

    rig: tyro.conf.Positional[Path]
    images: Path = Path(".")
    out: Path = Path("rig_check.png")
    moment: str = ""
    poses: Path | None = None
    times: Path | None = None
    theme: Literal["dark", "light"] = "dark"
    all: bool = False


def check(command: Check) -> None:
    """Draw one moment, and print the findings; exit with status 1 if there is an error."""
    from bev.data.rig import frames_of, load_rig
    from bev.data.rig.checks import check_images, check_rig
    from bev.data.rig.doubled import check_moments
    from bev.visualization.canvas import save_png
    from bev.visualization.colors import THEMES
    from bev.visualization.rig.page import draw_rig

    rig = load_rig(command.rig)
    frames = frames_of(rig, command.images, command.poses, command.times)
    chosen = [frame for frame in frames if frame.token == command.moment or not command.moment]
    if not chosen:
        raise DataError(
            f"{command.images} has no moment {command.moment!r}; it has {frames[0].token}"
            f" and {len(frames) - 1} more (--moment)."
        )
    findings = check_rig(chosen[0])
    findings.extend(check_images(frames))
    findings.extend(check_moments(rig, command.images, command.images))
    title = f"Calibration check of {command.rig.name}"
    page = draw_rig(chosen[0], findings, title, THEMES[command.theme])
    print(f"{count_of(len(rig.cameras), 'camera')}, {count_of(len(frames), 'moment')}")
    print("\n".join(findings.lines(0 if command.all else 10)))
    print(f"picture of moment {chosen[0].token} in {save_png(page, command.out)}")
    if findings.count(is_error=True):
        sys.exit(1)


KINDS: dict[str, tuple[type, Callable[[Any], None]]] = {"check": (Check, check)}
