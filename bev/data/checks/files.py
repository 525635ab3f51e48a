"""The files that the tables name: whether they are there, whole, and of the tables' size.

The idea: damage that happens to files (never fetched, cut off, emptied, scaled) shows at their
ends and in their header: the first and last kilobytes tell it, without decoding. What is wrong in
the middle of a file shows only in a whole decode, and not always there.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from bev.data.checks.findings import Findings, Kind
from bev.data.images.loading import decode, is_cut_off
from bev.errors import DataError

_START, _END = 1 << 16, 1024  # bytes looked at
_BATCH = 64  # files a task
_LIDAR_POINT = 20  # bytes: x, y, z, intensity, ring as float32

IMAGE_MISSING = Kind(
    "image missing, or not to be opened", "Restore the file, or fetch its blob again."
)
IMAGE_EMPTY = Kind("image of zero bytes", "Fetch it again.")
IMAGE_CUT = Kind("image cut off", "Fetch it again.")
IMAGE_UNREADABLE = Kind("no image", "Fetch it again.")
IMAGE_SIZE = Kind(
    "image of another size than the tables say",
    "Fetch it again; if images were scaled on purpose, scale width, height and camera_intrinsic.",
)
LIDAR_DAMAGED = Kind("lidar file that does not hold rows of 5 numbers", "Fetch it again.")


def lidar_missing(is_error: bool) -> Kind:
    """An error only where lidar is used."""
    return Kind(
        "lidar file missing",
        "Restore it, or train without lidar (--data.no-lidar, --model.depth-supervision.weight 0).",
        is_error,
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """A file, as a row of ``sample_data`` tells of it.

    Attributes:
        filename: below the data root.
        token: of the row.
        size: (height, width) of an image, pixels.
    """

    filename: str
    token: str
    size: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.filename} (sample_data {self.token})"


Finding = tuple[Kind, str]


def check_images(
    root: Path, images: Sequence[Reading], whole: bool, workers: int, findings: Findings
) -> None:
    """Look at every image, many at a time, and show a bar.

    Args:
        whole: decode each, too.
    """
    _look(images, lambda image: image_fault(root, image, whole), workers, "images", findings)


def check_lidar(
    root: Path, files: Sequence[Reading], required: bool, workers: int, findings: Findings
) -> None:
    """Look at every lidar file; one that is missing is an error where lidar is ``required``."""
    _look(files, lambda file: lidar_fault(root, file, required), workers, "lidar files", findings)


def image_fault(root: Path, image: Reading, whole: bool) -> Finding | None:
    """What is wrong with an image, if anything."""
    path = root / image.filename
    try:
        start, end, length = _ends(path)
    except OSError as error:
        return IMAGE_MISSING, f"{image}{_why(error)}"
    if not length:
        return IMAGE_EMPTY, str(image)
    if is_cut_off(start, end):
        return IMAGE_CUT, f"{image}: {length} bytes, without a JPEG's end"
    size = _jpeg_size(start)
    if whole or size is None:
        try:
            size = decode(path).shape[:2]
        except DataError as error:
            return IMAGE_UNREADABLE, f"{image}: {error}"
    if size != image.size:
        (height, width), (expected_height, expected_width) = size, image.size
        return IMAGE_SIZE, (
            f"{image}: {width}x{height}, the tables say {expected_width}x{expected_height}"
        )
    return None


def lidar_fault(root: Path, file: Reading, required: bool) -> Finding | None:
    """What is wrong with a lidar file, if anything."""
    try:
        length = (root / file.filename).stat().st_size
    except OSError as error:
        return lidar_missing(required), f"{file}{_why(error)}"
    if not length or length % _LIDAR_POINT:
        return LIDAR_DAMAGED, f"{file}: {length} bytes"
    return None


def _why(error: OSError) -> str:
    return "" if isinstance(error, FileNotFoundError) else f": {error.strerror}"


def _look(
    readings: Sequence[Reading],
    fault: Callable[[Reading], Finding | None],
    workers: int,
    name: str,
    findings: Findings,
) -> None:
    batches = [readings[i : i + _BATCH] for i in range(0, len(readings), _BATCH)]
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=len(readings), desc=name, unit=" files", delay=1, leave=False) as bar,
    ):
        for batch, found in zip(batches, pool.map(_faults_by(fault), batches), strict=True):
            for kind, text in found:
                findings.add(kind, [text])
            bar.update(len(batch))


def _faults_by(
    fault: Callable[[Reading], Finding | None],
) -> Callable[[Sequence[Reading]], list[Finding]]:
    return lambda batch: [found for reading in batch if (found := fault(reading)) is not None]


def _ends(path: Path) -> tuple[bytes, bytes, int]:
    """A file's first and last bytes, and its length."""
    with path.open("rb") as file:
        start = file.read(_START)
        length = file.seek(0, 2)
        file.seek(max(length - _END, 0))
        return start, file.read(), length


def _jpeg_size(start: bytes) -> tuple[int, int] | None:
    """(height, width) from the frame header of a JPEG; None where it is not found."""
    for marker, content in _segments(start):
        # SOF0 to SOF15, among which 4, 8 and 12 are tables (ITU T.81, table B.1).
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(content) >= 5:
            return int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
    return None


def _segments(start: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment of a JPEG."""
    if start[:2] != b"\xff\xd8":
        return
    place = 2
    while place + 4 <= len(start) and start[place] == 0xFF:
        if start[place + 1] == 0xFF:  # a fill byte
            place += 1
            continue
        length = int.from_bytes(start[place + 2 : place + 4], "big")
        yield start[place + 1], start[place + 4 : place + 2 + length]
        place += 2 + length
