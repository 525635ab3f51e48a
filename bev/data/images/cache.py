"""Decoded images on disk, for data that are read many times from few cores.

The idea: what is kept is the reduced decode, before any augmentation, as raw pixels: reading 1 MB
of an 800x450 image takes a fraction of the time of decoding its JPEG. Every draw of the
augmentation is still possible, and gives the same bits with the cache as without. At half size the
images of nuScenes mini take 2.6 GB and those of trainval 220 GB; draws that ask for whole ones take
4.3 MB for each of those as well.

An entry is named by the reduction and its file's path below the data root, so that data that are
mounted elsewhere find theirs again. It carries the file's size and modification time; an entry of a
file that has changed is written over. It is written under another name and renamed when it is
whole.

A full cache takes nothing more. Epochs visit the images in random order, so whatever is dropped to
make room would have been as useful as what comes in, and dropping the oldest drops what is due
next: with room for half of the images, half of them are found, but one in eight if the oldest go.
A record beside the entries counts their bytes. An entry is written and counted under one lock, so
that all workers and ranks keep the bound together and an image that two of them decode at once is
counted once. A reader needs no lock. Where the file system has no locks, the record may fall short
by what others write at the same moment.

Where the cache is opened a day after the last entry came in, what killed processes left is cleared
away, and the bytes are counted anew: entries may have been deleted.

The place is that of ``bev.data.cache_place``; an empty folder begins anew.
"""

import hashlib
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8

from bev.data.cache_place import cache_places, locked, may_write, owner
from bev.data.images.loading import decode
from bev.errors import DataError
from bev.files import PARTIAL, replacing

FORMAT = 2  # to be raised with every change of what an entry holds or how it is named
_HEADER = struct.Struct("<qqqq")  # the source's size and time, the image's height and width
_RECORD, _DIGITS = "bytes", 20
_DAY = 86_400  # seconds


@dataclass
class ImageCache:
    """A bounded folder of decoded images.

    Attributes:
        folder: where the entries lie; it can be written.
        limit: bytes that all entries together may take.
        root: folder of the data set.
        owner: tells data sets that share the folder apart.
        full: an entry did not fit; this process offers no more.
    """

    folder: Path
    limit: int
    root: Path
    owner: str = ""
    full: bool = field(default=False, init=False)

    @classmethod
    def open(cls, root: Path, limit: int) -> "ImageCache":
        """The cache of a data root.

        Raises:
            DataError: where no place for it can be written.
        """
        places = cache_places(root, "images")
        for place in places:
            folder = place / f"format-{FORMAT}"
            if may_write(folder):
                cache = cls(folder, limit, root, owner(place, root))
                cache._tidy()
                return cache
        raise DataError(
            f"No place for the image cache of {root} can be written"
            f" ({' nor '.join(map(str, places))}); set BEV_CACHE to a folder that can, or"
            " --data.image-cache 0."
        )

    def decode(self, path: Path, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
        """What :func:`bev.data.images.loading.decode` gives, from the cache where it is there.

        Raises:
            DataError: as there. A cache that cannot be read or written raises nothing.
        """
        try:
            stat = path.stat()
        except OSError:
            return decode(path, reduction)  # says what is wrong
        source = (stat.st_size, stat.st_mtime_ns)
        below = path.relative_to(self.root) if path.is_relative_to(self.root) else path.absolute()
        name = f"{reduction} {self.owner} {below.as_posix()}"
        name = hashlib.sha256(name.encode()).hexdigest()[:32]
        entry = self.folder / name[:2] / name[2:]
        if (kept := _load(entry, source)) is not None:
            return kept
        image = decode(path, reduction)
        if not self.full:
            with suppress(OSError):  # a full disk, a folder that was deleted
                self._store(entry, source, image)
        return image

    def _store(self, entry: Path, source: tuple[int, int], image: np.ndarray) -> None:
        content = _HEADER.pack(*source, *image.shape[:2]) + image.tobytes()
        with self._record() as record:
            if _load(entry, source) is not None:
                return  # another process was first
            used = self._used(record) + len(content) - _size(entry)
            self.full = used > self.limit
            if self.full:
                return
            entry.parent.mkdir(exist_ok=True)
            with replacing(entry) as partial:
                partial.write_bytes(content)
            _write_count(record, used)

    @contextmanager
    def _record(self) -> Iterator[IO[bytes]]:
        """The record of the bytes, locked where there are locks."""
        descriptor = os.open(self.folder / _RECORD, os.O_RDWR | os.O_CREAT, 0o666)
        with os.fdopen(descriptor, "rb+") as record, locked(record):
            yield record

    def _used(self, record: IO[bytes]) -> int:
        """Bytes of all entries: as recorded, or counted where the record is not whole."""
        text = record.read()
        if len(text) == _DIGITS and text.isdigit():
            return int(text)
        return sum(_size(entry) for entry in self.folder.glob("??/[!.]*"))

    def _tidy(self) -> None:
        """Clear away what killed processes left and count the bytes anew, at most once a day."""
        with suppress(OSError):
            if not _is_old(self.folder / _RECORD):
                return
            with self._record() as record:
                for left in filter(_is_old, self.folder.glob(f"??/{PARTIAL}*")):
                    left.unlink()
                record.truncate(0)
                _write_count(record, self._used(record))


def _write_count(record: IO[bytes], used: int) -> None:
    """In place and always as long: of two that write without a lock, one's number stands."""
    record.seek(0)
    record.write(b"%0*d" % (_DIGITS, used))
    record.truncate()
    record.flush()


def _is_old(path: Path) -> bool:
    return path.stat().st_mtime + _DAY < time.time()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _load(entry: Path, source: tuple[int, int]) -> np.ndarray | None:
    """The pixels of an entry, if it is whole and of the file as it is."""
    try:
        content = np.fromfile(entry, np.uint8)
        *found, height, width = _HEADER.unpack_from(content)
        pixels = content[_HEADER.size :]
        whole = tuple(found) == source and len(pixels) == height * width * 3
    except (OSError, struct.error):
        return None
    return pixels.reshape(height, width, 3) if whole else None
