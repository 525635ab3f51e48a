"""On-disk cache of decoded images, for data that are read many times with few CPU cores.

The cache stores the images after the reduced decode and before augmentation, as raw pixels: reading
1 MB of an 800x450 image takes a fraction of the time of decoding its JPEG. Augmentation is applied
afterwards and gives bit-identical results with and without the cache. At half size the images of
nuScenes mini take 2.6 GB and those of trainval 220 GB; augmentations that need an image at full
size take another 4.3 MB per image.

The name of an entry depends on the reduction and on the path of the image below the data root, so
the cache stays valid if the data are mounted elsewhere. An entry contains the size and modification
time of the image file; it is overwritten if the file has changed. Entries are written to a
temporary file that is then renamed.

A full cache accepts no more entries, and a warning says so once. The same holds for a cache that
can no longer be written to, e.g. on a full disk; one that cannot be opened at all is left out, with
a warning. Images are then decoded at every visit. Epochs visit the images in random order, so
evicting an entry removes one that is as useful as the new one, and evicting the oldest removes the
one that is needed next: with space for half of the images the hit rate is one half, but one eighth
with eviction of the oldest. A record next to the entries contains their total size in bytes. An
entry is written and counted under one lock, so all workers and ranks share the limit, and an image
that two of them decode at once is counted once. Readers need no lock. On a file system without
locks the record may miss entries that other processes write at the same time.

If the cache is opened more than a day after the last entry was written, files left by killed
processes are removed and the bytes are counted again, because entries may have been deleted.

The location is that of ``bev.data.storage.cache_place``. Deleting the folder's content is safe.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8

from bev.data.images.loading import decode
from bev.data.storage.cache_place import cache_places, locked, may_write, name_hash, owner
from bev.data.storage.remote import present
from bev.errors import print_warnings, remedy_of
from bev.files import is_stale, open_plain, remove_stale, replacing

FORMAT = 4  # increment with every change of the content or the naming of entries
_HEADER = struct.Struct("<qqqq")  # the source's size and time, the image's height and width
_RECORD, _DIGITS = "bytes", 20
_FULL = "full"  # file that exists once one of the processes has warned
_warned: set[str] = set()  # warnings of this process
_opened: set[Path] = set()  # folders of caches that this process has opened


@dataclass
class ImageCache:
    """A folder of decoded images with a limited total size.

    Attributes:
        folder: folder of the entries, writable.
        limit: maximum total size of all entries, bytes.
        root: folder of the data set.
        owner: identifier of the data set among others that share the folder.
        full: whether an entry did not fit or could not be written; this process then writes no
            more entries.
    """

    folder: Path
    limit: int
    root: Path
    owner: str = ""
    full: bool = field(default=False, init=False)

    @classmethod
    def open(cls, root: Path, limit: int) -> "ImageCache | None":
        """Open the cache of a data root; None, with a warning, if no location is writable."""
        places = cache_places(root, "images")
        for place in places:
            folder = place / f"format-{FORMAT}"
            if may_write(place) and may_write(folder):
                cache = cls(folder, limit, root, owner(place, root))
                cache._tidy()
                return cache
        _warn(
            f"No location for the image cache of {root} is writable"
            f" ({', '.join(map(str, places))}), so images are decoded at every visit; set BEV_CACHE"
            " to a writable folder, or --data.image-cache 0."
        )
        return None

    def decode(
        self, path: Path, reduction: int = 1, size: tuple[int, int] | None = None
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Decode an image as :func:`bev.data.images.loading.decode`, using the cache.

        Raises:
            DataError: see :func:`bev.data.images.loading.decode`. Errors in reading or writing the
                cache are ignored.
        """
        try:
            stat = present(path).stat()
        except (OSError, ValueError):
            return decode(path, reduction, size)  # raises the error
        # In 64 bits, also after the year 2262.
        source = (stat.st_size, (stat.st_mtime_ns + 2**63) % 2**64 - 2**63)
        below = path.relative_to(self.root) if path.is_relative_to(self.root) else path.absolute()
        name = name_hash(f"{reduction} {self.owner} {below.as_posix()}")[:32]
        entry = self.folder / name[:2] / name[2:]
        if (cached := _load(entry, source)) is not None:
            return cached
        image = decode(path, reduction, size)
        if not self.full:
            try:
                self._store(entry, source, image)
            except OSError as error:  # such as a full disk
                why = f"cannot be written to ({error.strerror or error})"
                self._stop(why, remedy_of(error) or "set BEV_CACHE to another folder")
        return image

    def _stop(self, why: str, remedy: str) -> None:
        """Write no more entries, and warn unless another process has."""
        self.full = True
        with suppress(OSError):  # without the file, each process warns
            try:
                os.close(open_plain(self.folder / _FULL, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
        _warn(
            f"The image cache {self.folder} {why}, so other images are decoded at every visit;"
            f" {remedy}, or set --data.image-cache 0."
        )

    def _store(self, entry: Path, source: tuple[int, int], image: np.ndarray) -> None:
        content = _HEADER.pack(*source, *image.shape[:2]) + image.tobytes()
        with self._record() as record:
            if _load(entry, source) is not None:
                return  # another process was first
            used = self._used(record) + len(content) - _size(entry)
            if used > self.limit:
                self._stop(f"is full ({self.limit / 2**30:.3g} GiB)", "raise --data.image-cache")
                return
            entry.parent.mkdir(exist_ok=True)
            if entry.parent.is_symlink():
                return
            with replacing(entry) as partial:
                partial.write_bytes(content)
            _write_count(record, used)

    @contextmanager
    def _record(self) -> Iterator[IO[bytes]]:
        """Open the record of the total size, locked if the file system supports locks.

        The cache's folder may have been deleted since it was opened; it is created again.
        """
        if not self.folder.is_dir() and may_write(self.folder.parent):
            may_write(self.folder)
        descriptor = open_plain(self.folder / _RECORD, os.O_RDWR | os.O_CREAT)
        with os.fdopen(descriptor, "rb+") as record, locked(record):
            yield record

    def _used(self, record: IO[bytes]) -> int:
        """Total size of all entries in bytes: as recorded, or counted if the record is damaged."""
        text = record.read()
        if len(text) == _DIGITS and text.isdigit():
            return int(text)
        return sum(_size(file) for folder in self._folders() for file in folder.glob("[!.]*"))

    def _folders(self) -> Iterator[Path]:
        return (folder for folder in self.folder.glob("??") if not folder.is_symlink())

    def _tidy(self) -> None:
        """Remove files left by killed processes and recount the bytes, at most once a day."""
        with suppress(OSError):
            if self.folder not in _opened:  # a run opens it for each of its splits
                _opened.add(self.folder)
                (self.folder / _FULL).unlink(missing_ok=True)
            if not is_stale(self.folder / _RECORD):
                return
            with self._record() as record:
                for folder in self._folders():
                    remove_stale(folder)
                record.truncate(0)
                _write_count(record, self._used(record))


def _warn(sentence: str) -> None:
    """Print a warning, once per process."""
    if sentence not in _warned:
        _warned.add(sentence)
        print_warnings([sentence])


def _write_count(record: IO[bytes], used: int) -> None:
    """Write the count in place with a fixed length, so that unlocked writers cannot mix digits."""
    record.seek(0)
    record.write(b"%0*d" % (_DIGITS, used))
    record.truncate()
    record.flush()


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _load(entry: Path, source: tuple[int, int]) -> np.ndarray | None:
    """The pixels of an entry, or None if the entry is incomplete or the image file has changed."""
    try:
        if entry.parent.is_symlink():
            return None
        with os.fdopen(open_plain(entry, os.O_RDONLY), "rb") as file:
            content = np.fromfile(file, np.uint8)
        *saved_source, height, width = _HEADER.unpack_from(content.data)
        pixels = content[_HEADER.size :]
        valid = tuple(saved_source) == source and len(pixels) == height * width * 3
        valid &= height > 0 and width > 0
    except (OSError, struct.error):
        return None
    return pixels.reshape(height, width, 3) if valid else None
