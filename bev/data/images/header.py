"""Facts read from the bytes of an image file without decoding it: size, completeness, orientation.

A decoder reserves memory for the size that a header claims, so the size is compared with the tables
first. Headers of JPEG and PNG files are read here, those of other formats by Pillow.
"""

import io
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal

# A marker of a JPEG (ITU T.81, table B.1): 0xFF and another byte. Within coded pixels 0xFF is
# followed by 0x00, or by a restart marker (0xD0 to 0xD7), which like 0x01 has no content.
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]")
_MOST_SEGMENTS = 10_000
_START, _END, _SCAN, _APP1 = 0xD8, 0xD9, 0xDA, 0xE1
# Frame headers SOF0 to SOF15, among which 4, 8 and 12 are tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*")
_TIFF_PIXELS = ((273, 279), (324, 325))  # tags of places and lengths: of strips, and of tiles
_OTHER_FORMATS = ("BMP", "JPEG2000", "PPM", "TIFF", "WEBP")
_ORIENTATION, UPRIGHT = 0x0112, 1  # tag of EXIF and TIFF, and its usual value


def image_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) that the header of an image file states; None if there is no known header.

    Args:
        data: the file's bytes, or enough of its beginning to contain the header (JPEG and PNG).
    """
    if is_jpeg(data):
        for marker, content in _segments(data):
            if marker in _FRAMES and len(content) >= 5:
                return int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
            if marker in (_SCAN, _END):
                break
        return None
    if data[:8] == _PNG and data[12:16] == b"IHDR" and len(data) >= 24:
        return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    return size_by_pillow(io.BytesIO(data))


def is_jpeg(data: bytes) -> bool:
    """Return whether a file is a JPEG, by its first bytes."""
    return data[:2] == bytes((0xFF, _START))


def is_tiff(data: bytes) -> bool:
    """Return whether a file is a TIFF, by its first bytes."""
    return data[:4] in _TIFF


def shows_end(start: bytes, end: bytes) -> bool:
    """Return whether the last bytes of a JPEG or PNG have the mark of its end.

    Args:
        start: first bytes of the file.
        end: last bytes of the file; other bytes may stand between the mark and them.
    """
    if is_jpeg(start):
        return bytes((0xFF, _END)) in end
    return start[:8] == _PNG and b"IEND" in end


def is_cut_off(data: bytes) -> bool:
    """Return whether a JPEG, PNG, WebP or TIFF lacks its end; bytes behind the end are allowed.

    The decoder silently fills the missing part of a truncated JPEG with grey, and reserves memory
    for the length that a chunk of a PNG claims.
    """
    if data[:8] == _PNG:
        return not _has_png_end(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if is_tiff(data):
        return len(data) < _tiff_length(data)
    if not is_jpeg(data) or data[-2:] == bytes((0xFF, _END)):
        return False
    return all(marker != _END for marker, _ in _segments(data))


def orientation(data: bytes) -> int:
    """EXIF orientation (1 to 8) of a JPEG; 1, upright, if there is none."""
    from PIL import Image

    for marker, content in _segments(data) if is_jpeg(data) else ():
        if marker == _APP1 and content.startswith(b"Exif\0\0"):
            exif = Image.Exif()
            try:
                exif.load(content)
                found = exif.get(_ORIENTATION, UPRIGHT)
            except Exception:  # damaged metadata, in any of the ways that Pillow reports it
                return UPRIGHT
            return found if isinstance(found, int) else UPRIGHT
        if marker in (_SCAN, _END):
            break
    return UPRIGHT


def _has_png_end(data: bytes) -> bool:
    """Return whether all chunks of a PNG up to the last lie within the file."""
    place = len(_PNG)
    while place + 12 <= len(data):
        kind = data[place + 4 : place + 8]
        place += 12 + int.from_bytes(data[place : place + 4], "big")
        if kind == b"IEND":
            return place <= len(data)
    return False


def _tiff_length(data: bytes) -> int:
    """Least length of a whole TIFF: up to the end of its first directory and of its pixels."""
    from PIL import Image

    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    directory = int.from_bytes(data[4:8], order)
    entries = int.from_bytes(data[directory : directory + 2], order)
    length = directory + 2 + 12 * entries
    if length <= len(data):
        with suppress(Exception), Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
            tags = getattr(image, "tag_v2", {})
            for places, lengths in _TIFF_PIXELS:
                pairs = zip(tags.get(places, ()), tags.get(lengths, ()), strict=True)
                length = max([length, *(place + count for place, count in pairs)])
    return length


def size_by_pillow(file: io.BytesIO | io.BufferedReader) -> tuple[int, int] | None:
    """(height, width) of an open file of another format than JPEG and PNG; None if unknown.

    Pillow reads the header alone, wherever it is in the file.
    """
    from PIL import Image

    try:
        with Image.open(file, formats=_OTHER_FORMATS) as image:
            turned = (
                image.format == "TIFF" and image.getexif().get(_ORIENTATION, UPRIGHT) != UPRIGHT
            )
            return None if turned else (image.height, image.width)
    except Exception:  # not one of these formats, or damaged in any way
        return None


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Iterate over the marker and content of the segments of a JPEG, up to its end marker."""
    place = 2
    for _ in range(_MOST_SEGMENTS):
        found = _MARKER.search(data, place)
        if found is None:
            return
        marker, place = found[0][1], found.end()
        if marker in (_START, _END):
            yield marker, b""
            if marker == _END:
                return
            continue
        length = max(int.from_bytes(data[place : place + 2], "big"), 2)
        yield marker, data[place + 2 : place + length]
        place += length
