"""Decoded images on disk, for data that are read many times from few cores.

The idea: what is kept is the reduced decode, before any augmentation, as raw pixels: reading 1 MB
of an 800x450 image takes a fraction of the time of decoding its JPEG. Every draw of the
augmentation is still possible, and gives the same bits with the cache as without. At half size the
images of nuScenes mini take 2.6 GB and those of trainval 220 GB; draws that ask for whole ones take
4.3 MB for each of those as well.

An entry is named by its file's path and the reduction, and carries the file's size and modification
time; an entry of a file that has changed is written over. It is written under another name and
renamed when it is whole. Files of processes that were killed are cleared away when the cache is
opened a day later.

A full cache takes nothing more. Epochs visit the images in random order, so whatever is dropped to
make room would have been as useful as what comes in, and dropping the oldest drops what is due
next: with room for half of the images, half of them are found, but one in eight if the oldest go.
A record beside the entries counts their bytes under a lock, so that all workers and ranks keep the
bound together. A reader needs no lock.

The place is that of ``bev.data.cache_place``; an empty folder begins anew.
"""

import hashlib
import os
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from bev.data.cache_place import cache_places, lock, may_write, unlock
from bev.data.images import decode
from bev.errors import DataError

FORMAT = 1  # to be raised with every change of what an entry holds
_HEADER = struct.Struct("<qqqq")  # the source's size and time, the image's height and width
_PARTIAL = ".partial-"
_DAY = 86_400  # seconds


@dataclass
class ImageCache:
    """A bounded folder of decoded images.

    Attributes:
        folder: where the entries lie; it can be written.
        limit: bytes that all entries together may take.
        full: an entry did not fit; this process offers no more.
    """

    folder: Path
    limit: int
    full: bool = field(default=False, init=False)

    @classmethod
    def open(cls, root: Path, limit: int) -> "ImageCache":
        """The cache of a data root.

        Raises:
            DataError: where no place for it can be written.
        """
        places = [place / f"format-{FORMAT}" for place in cache_places(root, "images")]
        for place in places:
            if may_write(place):
                for left in place.glob(f"{_PARTIAL}*"):
                    with suppress(OSError):
                        if left.stat().st_mtime + _DAY < time.time():
                            left.unlink()
                return cls(place, limit)
        raise DataError(
            f"No place for the image cache of {root} can be written"
            f" ({' nor '.join(map(str, places))}); set BEV_CACHE to a folder that can, or"
            " --data.image-cache 0."
        )

    def decode(self, path: Path, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
        """What :func:`bev.data.images.decode` gives, from the cache where it is there.

        Raises:
            DataError: as there. A cache that cannot be read or written raises nothing.
        """
        try:
            stat = path.stat()
        except OSError:
            return decode(path, reduction)  # says what is wrong
        source = (stat.st_size, stat.st_mtime_ns)
        name = hashlib.sha256(f"{reduction} {path.absolute()}".encode()).hexdigest()[:32]
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
        if not self._reserve(len(content) - _size(entry)):
            return
        partial = self.folder / f"{_PARTIAL}{os.getpid()}-{entry.name}"
        try:
            partial.write_bytes(content)
            entry.parent.mkdir(exist_ok=True)
            os.replace(partial, entry)
        finally:
            partial.unlink(missing_ok=True)

    def _reserve(self, size: int) -> bool:
        """Count bytes in, if they fit. What is then not written stays counted: never too little."""
        with open(self.folder / "bytes", "a+") as record:
            held = lock(record)
            try:
                record.seek(0)
                text = record.read()
                used = int(text) if text.isdigit() else self._used()
                self.full = used + size > self.limit
                if not self.full:
                    record.truncate(0)
                    record.write(str(used + size))
                    record.flush()
                return not self.full
            finally:
                if held:
                    unlock(record)

    def _used(self) -> int:
        """Bytes of all entries that are there."""
        return sum(_size(entry) for entry in self.folder.glob("??/*"))


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
