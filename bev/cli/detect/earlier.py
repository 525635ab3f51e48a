"""Results that an earlier call of ``bevlab detect`` left in the folder of the results."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bev.cli.detect import Command
from bev.data.boxes_file import read_boxes
from bev.errors import ConfigError, DataError

BOXES, SUBMISSION, PICTURES = "boxes.json", "results_nusc.json", "pictures"
SOFTWARE = "bevlab detect"
"""Name of the program in its pictures and videos."""

_PICTURE = re.compile(r"\d{4,}_.+\.png")
_VIDEO_HEAD = 16 << 20  # bytes in which the comment of a video is looked for


def check_earlier(command: Command) -> None:
    """Check that no results are written over unless this is asked for.

    Raises:
        ConfigError: if results exist without ``--overwrite``, or others than those of this command,
            also a video; or if a file is in the place of their folder.
    """
    if command.out.exists() and not command.out.is_dir():
        raise ConfigError(f"--out {command.out} is a file; name a folder, which may be new.")
    info, folder, file = _info(command.out), "another folder by --out", "another file by --video"
    written = [(command.out / BOXES, folder, "program" in info)]
    if command.tokens is not None:
        written.append((command.out / SUBMISSION, folder, bool(info.get("tokens"))))
    if command.video is not None:
        written.append((command.video, file, _is_own_video(command.video)))
    for path, other, own in written:
        if path.exists() and not command.overwrite:
            raise ConfigError(
                f"{path} exists already; choose {other}, or write over it by --overwrite."
            )
        if path.exists() and not own:
            raise ConfigError(
                f"{path} was not written by bevlab detect, so --overwrite does not replace it;"
                f" choose {other}, or remove the file."
            )


def remove_earlier(command: Command) -> None:
    """Remove what an earlier call left beside its boxes: pictures, results and video.

    Pictures and videos are removed only if their files name this program; all other files are left
    alone. The boxes themselves stay until they are replaced.
    """
    if not command.overwrite:
        return
    from bev.visualization.canvas import names_software

    info = _info(command.out)
    for path in sorted((command.out / PICTURES).glob("*.png")):
        if _PICTURE.fullmatch(path.name) and path.is_file() and names_software(path, SOFTWARE):
            path.unlink()
    with suppress(OSError):
        (command.out / PICTURES).rmdir()  # if it is empty
    if info.get("tokens"):
        (command.out / SUBMISSION).unlink(missing_ok=True)
    video = info.get("video")
    if isinstance(video, str) and _is_own_video(Path(video)):
        Path(video).unlink()


def _info(folder: Path) -> Mapping[str, Any]:
    """Origin of the boxes in a folder of results; empty if there are none, or not by bevlab."""
    try:
        return read_boxes(folder / BOXES).info
    except DataError:
        return {}


def _is_own_video(path: Path) -> bool:
    with suppress(OSError, ValueError):
        if path.suffix.lower() == ".mp4" and path.is_file():
            with path.open("rb") as file:
                return SOFTWARE.encode() in file.read(_VIDEO_HEAD)
    return False
