"""Patterns of image files, such as ``front/*.jpg`` or ``{sequence}/front/{seconds}.jpg``.

``*`` stands for any characters but ``/``. ``{sequence}`` is the name of a sequence. ``{moment}``
names what images of different cameras have in common if they belong together; the only ``*`` of a
pattern without it is the moment. ``{seconds}``, ``{milliseconds}``, ``{microseconds}`` and
``{nanoseconds}`` are the time of the image; without ``{moment}``, images belong together if their
times are nearest. A pattern without any of these is the name of a single file. Between two of these
there is other text, but for a ``*`` beside a time, which matches no digit there.
"""

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from bev.errors import DataError
from bev.paths import check_inside

UNITS = {"seconds": "1e6", "milliseconds": "1e3", "microseconds": "1", "nanoseconds": "1e-3"}
"""Units of time, in microseconds."""

_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2",
)  # fmt: skip
_PIECE = re.compile(r"(\*|\{[^{}]*\})")
_NAMES = ("sequence", "moment", *UNITS)
LATEST = 10**18  # microseconds; later numbers are no times


@dataclass(frozen=True)
class FoundImage:
    """Image file that a pattern matches.

    Attributes:
        path: image file.
        sequence: text of ``{sequence}``; empty without it.
        moment: text of ``{moment}`` or of the only ``*``; empty without it.
        time: microseconds, from the name; None without a time.
    """

    path: Path
    sequence: str
    moment: str
    time: int | None


def check_pattern(pattern: str, where: str) -> None:
    """Check a pattern of image files.

    Raises:
        DataError: begins with ``where``, names the fault.
    """
    pieces = _PIECE.split(pattern)
    names = [piece[1:-1] for piece in pieces[1::2] if piece != "*"]
    where = f"{where}: images {pattern!r}"
    for name in names:
        if name not in _NAMES or names.count(name) > 1:
            twice = f"has {{{name}}} twice" if name in _NAMES else f"has {{{name}}}"
            raise DataError(f"{where} {twice}; use each of {', '.join(_NAMES)} once at most.")
    if len([name for name in names if name in UNITS]) > 1:
        raise DataError(f"{where} has two times; leave one of them.")
    if any(set("{}") & set(piece) for piece in pieces[::2]):
        raise DataError(f"{where} has a single brace; write {{moment}} for what names a moment.")
    for place in range(2, len(pieces) - 2, 2):
        before, after = pieces[place - 1], pieces[place + 1]
        beside = {before, after} & {f"{{{unit}}}" for unit in UNITS} and "*" in (before, after)
        if not pieces[place] and not beside:
            raise DataError(
                f"{where} has {before}{after}, and it is open where one ends; write what is between"
                " them."
            )
    try:
        check_inside(pattern)
    except ValueError as error:
        raise DataError(f"{where} {error}; give a path below the folder of the images.") from error
    parts = pattern.split("/")
    if ".." in parts or parts[-1] in ("", "."):
        fault = "contains '..'" if ".." in parts else "names no file"
        raise DataError(f"{where} {fault}; give a path below the folder of the images.")
    if not set(names) - {"sequence"} and pieces[1::2].count("*") > 1:
        raise DataError(
            f"{where} has several *, and it is open which one names the moment; write {{moment}}"
            " for that one."
        )


def find_images(pattern: str, folder: Path) -> list[FoundImage]:
    """Image files that a checked pattern matches, in any order; hidden files are left out."""
    pattern = "/".join(part for part in pattern.split("/") if part not in ("", "."))
    pieces = _PIECE.split(pattern)
    wild = "".join("*" if place % 2 else glob.escape(piece) for place, piece in enumerate(pieces))
    wild = re.sub(r"\*+", "*", wild)
    expression = re.compile("".join(_expressions(pieces)))
    found = []
    for path in folder.glob(wild):
        below = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in below.parts)
        matched = expression.fullmatch(below.as_posix())
        if matched and not hidden and path.suffix.lower() in _SUFFIXES and path.is_file():
            groups = matched.groupdict()
            unit = next((name for name in UNITS if name in groups), None)
            time = None if unit is None else microseconds(groups[unit], unit)
            if time is not None and time > LATEST:
                raise DataError(
                    f"Image {path} has {groups[unit or '']} {unit} in its name, which is no time;"
                    " correct the pattern of the rig."
                )
            moment = groups.get("moment", "")
            if moment.lower().endswith(_SUFFIXES):  # of a pattern that ends in the moment
                moment = moment.rpartition(".")[0]
            found.append(FoundImage(path, groups.get("sequence", ""), moment, time))
    return found


def microseconds(text: str, unit: str) -> int:
    """Microseconds of a number in one of ``UNITS``; whole numbers without any rounding."""
    exact = Decimal(text) * Decimal(UNITS[unit])
    return int(exact.to_integral_value())


def natural(text: str) -> list[tuple[int, int, str]]:
    """Key that sorts numbers within text by their values."""
    parts = re.split(r"(\d+)", text)
    return [(1, int(part), part) if place % 2 else (0, 0, part) for place, part in enumerate(parts)]


def _expressions(pieces: list[str]) -> Iterator[str]:
    names = {piece[1:-1] for piece in pieces[1::2] if piece != "*"}
    alone = not names - {"sequence"}
    for place, piece in enumerate(pieces):
        name = piece[1:-1]
        if not place % 2:
            yield re.escape(piece)
        elif piece == "*":
            yield "(?P<moment>[^/]+)" if alone else "[^/]*"
        elif name in UNITS:
            # A * beside a time takes no digit of it, nor the point of a number with a fraction.
            before = place > 1 and not pieces[place - 1]
            after = place + 2 < len(pieces) and not pieces[place + 1]
            whole = (before or after) and name in ("microseconds", "nanoseconds")
            yield "(?<![0-9])" + ("" if whole else r"(?<![0-9]\.)") if before else ""
            yield rf"(?P<{name}>[0-9]{{1,40}}" + (")" if whole else r"(?:\.[0-9]{1,40})?)")
            yield "(?![0-9])" + ("" if whole else r"(?!\.[0-9])") if after else ""
        else:
            yield f"(?P<{name}>[^/]+)"
