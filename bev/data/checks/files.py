"""Check of sensor data files that tables or frames list: existence, completeness, image size.

Common damage (missing download, truncation, empty file, resized image) is visible in the first and
last kilobytes of a JPEG or PNG, and in the headers of other formats. Damage in the middle of an
image, and channels of more than 8 bits, are detected only by decoding it completely, and the former
not always then.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from bev.data.checks.findings import Findings, Kind
from bev.data.images.header import UPRIGHT, image_size, is_cut_off, orientation, shows_end
from bev.data.images.loading import decode, read
from bev.data.lidar import ROW_BYTES, lidar_content_fault
from bev.data.storage.remote import present
from bev.errors import DataError
from bev.files import regular_length

_START, _END = 1 << 16, 1024  # bytes read at the beginning and at the end of a file
_BATCH = 64  # files per task
_LIDAR_READ = 100  # lidar files whose points are checked

IMAGE_MISSING = Kind(
    "image missing or not readable", "Restore the file, or download its archive again."
)
IMAGE_EMPTY = Kind("image of zero bytes", "Download it again.")
IMAGE_CUT = Kind("image truncated", "Download it again.")
IMAGE_UNREADABLE = Kind(
    "file that is not an image, or one that cannot be used",
    "Download it again, or convert it to a JPEG or PNG of 8 bits per channel.",
)
IMAGE_SIZE = Kind(
    "image size that differs from the declared one",
    "Download it again; if images were resized on purpose, scale width, height and"
    " camera_intrinsic in the tables, or the size and intrinsics that the source gives.",
)
IMAGE_TURNED = Kind(
    "image with an EXIF orientation",
    "The orientation is ignored: width, height and camera_intrinsic must refer to the pixels as"
    " they are stored.",
    is_error=False,
)
LIDAR_DAMAGED = Kind(
    "lidar file that does not contain plausible rows of 5 numbers",
    "Download it again, or convert it to float32 rows of x, y, z in metres, intensity and ring.",
)


def lidar_missing(is_error: bool) -> Kind:
    """Kind of a missing lidar file, an error only if lidar is used."""
    return Kind(
        "lidar file missing",
        "Restore it, or train without lidar (--data.no-lidar, --model.depth-supervision.weight 0).",
        is_error,
    )


@dataclass(frozen=True, slots=True)
class SensorFile:
    """A sensor data file, as listed in a row of ``sample_data`` or in a frame.

    Attributes:
        filename: path below the data root, or an absolute one.
        named_by: the row or frame, for messages.
        size: (height, width) of an image, pixels.
    """

    filename: str
    named_by: str
    size: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.filename} ({self.named_by})"


Finding = tuple[Kind, str]


def check_images(
    root: Path, images: Sequence[SensorFile], whole: bool, workers: int, findings: Findings
) -> None:
    """Check every image in several threads, with a progress bar.

    Args:
        root: folder of the data set.
        images: image files.
        whole: also decode each image completely.
        workers: number of threads.
        findings: receives the findings.
    """
    _check(images, lambda image: image_fault(root, image, whole), workers, "images", findings)


def check_lidar(
    root: Path,
    files: Sequence[SensorFile],
    required: bool,
    whole: bool,
    workers: int,
    findings: Findings,
) -> None:
    """Check every lidar file; a missing file is an error if lidar is ``required``.

    The points of all files (``whole``), or of about a hundred, are read; of the others the length
    is checked.
    """
    step = 1 if whole else -(-len(files) // _LIDAR_READ) or 1
    read = set(files[::step])
    _check(
        files,
        lambda file: lidar_fault(root, file, required, file in read),
        workers,
        "lidar files",
        findings,
    )


def image_fault(root: Path, image: SensorFile, whole: bool) -> Finding | None:
    """The first fault of an image file, or None."""
    path = root / image.filename
    try:
        start, end, length = _ends(path)
    except OSError as error:
        return IMAGE_MISSING, f"{image}{_why(error)}"
    if not length:
        return IMAGE_EMPTY, str(image)
    try:
        size = image_size(start) if shows_end(start, end) else None
        # Other bytes may follow the end mark, and other segments precede the frame header.
        if whole or size is None:
            data = read(path)
            if is_cut_off(data):
                return IMAGE_CUT, f"{image}: {length} bytes, without the end of the image"
            size = image_size(data)
        if size is not None and size != image.size:
            (height, width), (expected_height, expected_width) = size, image.size
            return IMAGE_SIZE, (
                f"{image}: {width}x{height}, declared {expected_width}x{expected_height}"
            )
        if whole or size is None:
            decode(path, 1, image.size)
    except DataError as error:
        return IMAGE_UNREADABLE, f"{image}: {error}"
    if (turn := orientation(start)) != UPRIGHT:
        return IMAGE_TURNED, f"{image}: orientation {turn}"
    return None


def lidar_fault(root: Path, file: SensorFile, required: bool, read: bool) -> Finding | None:
    """The first fault of a lidar file, or None; its points are checked if it is to be ``read``."""
    path = root / file.filename
    try:
        length = regular_length(present(path))
        whole_rows = length and not length % ROW_BYTES
        if (read or not whole_rows) and (fault := lidar_content_fault(path.read_bytes())):
            return LIDAR_DAMAGED, f"{file}: {fault}"
    except OSError as error:
        return lidar_missing(required), f"{file}{_why(error)}"
    return None


def _why(error: OSError) -> str:
    return "" if isinstance(error, FileNotFoundError) else f": {error.strerror}"


def _check(
    files: Sequence[SensorFile],
    fault: Callable[[SensorFile], Finding | None],
    workers: int,
    name: str,
    findings: Findings,
) -> None:
    batches = [files[i : i + _BATCH] for i in range(0, len(files), _BATCH)]
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=len(files), desc=name, unit=" files", delay=1, leave=False) as bar,
    ):
        for batch, found in zip(batches, pool.map(_faults_by(fault), batches), strict=True):
            for kind, text in found:
                findings.add(kind, [text])
            bar.update(len(batch))


def _faults_by(
    fault: Callable[[SensorFile], Finding | None],
) -> Callable[[Sequence[SensorFile]], list[Finding]]:
    return lambda batch: [found for file in batch if (found := fault(file)) is not None]


def _ends(path: Path) -> tuple[bytes, bytes, int]:
    """The first and last bytes of a regular file, and its length."""
    length = regular_length(present(path))
    with path.open("rb") as file:
        start = file.read(_START)
        file.seek(max(length - _END, 0))
        return start, file.read(_END), length
