"""Paths and file names from text that others wrote, such as tokens and names in tables.

Such text must not lead to another folder. Links below a data root are followed: many data sets are
put together from links, and who can create them could also change the files.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath

_PLAIN = re.compile(r"[^\W_][\w.+=@-]*")  # file names that need no change; not hidden
_OTHER = re.compile(r"[^\w.+=@-]+")
_URL = re.compile(r"(^|::)([a-z][a-z0-9+.-]+):/+")
_LONGEST = 120  # bytes of a file name; file systems allow 255, and suffixes are added


def file_name(text: str) -> str:
    """File name for a text; equal to the text if that is a plain name.

    Other texts get a hash, so different texts have different names. The name is never hidden,
    contains no separator, and is at most 120 bytes long.
    """
    if _PLAIN.fullmatch(text) and len(os.fsencode(text)) <= _LONGEST:
        return text
    data = text.encode(errors="surrogatepass")
    words = _OTHER.sub("_", text).strip("._-+=@").encode()[:80].decode(errors="ignore")
    return "-".join(filter(None, [words, hashlib.sha256(data).hexdigest()[:12]]))


def short_names(paths: Sequence[Path]) -> list[str]:
    """Short names of paths: as many of their last parts as tell them apart."""
    parts = [path.resolve().parts for path in paths]
    for count in range(1, max(map(len, parts), default=0)):
        names = ["/".join(own[-count:]) for own in parts]
        if len({*names}) == len(names):
            return names
    return [f"{path} ({number})" for number, path in enumerate(paths, 1)]


def check_inside(name: str) -> str:
    """Return a relative path unchanged if it stays inside the folder that it is relative to.

    Raises:
        ValueError: if the path is empty, absolute, leads outside, or contains a null character.
    """
    if not name or "\0" in name:
        raise ValueError("is empty or contains a null character")
    depth = 0
    for part in PurePosixPath(name).parts if ".." in name else ():
        depth += -1 if part == ".." else 1
        if depth < 0:
            break
    if depth < 0 or name.startswith("/"):
        raise ValueError("leads outside of its folder")
    return name


def inside(folder: Path, name: str) -> Path:
    """Path of a file in a folder, or below it.

    Raises:
        ValueError: see :func:`check_inside`.
    """
    return folder / check_inside(name)


def url_of(path: Path) -> str:
    """The URL that a path stands for, such as ``s3://bucket/folder``; empty for a path.

    ``pathlib`` joins slashes, so that a URL given as a path is ``s3:/bucket/folder``. The parts of
    a chained URL (``zip://::s3://bucket/data.zip``) are restored too.
    """
    text = path.as_posix()
    if not _URL.match(text):
        return ""
    return _URL.sub(lambda m: f"{m[1]}{m[2]}://" + "/" * (m[2] in ("file", "local")), text)


def is_below(path: Path, folder: Path) -> bool:
    """True if a path lies in a folder or below it, by its name: links are not resolved."""
    # A normal form without "..", and the folder itself as a source may have resolved it.
    own = os.path.abspath(path)
    return any(own.startswith(place) for place in _places(folder))


@lru_cache(maxsize=8)
def _places(folder: Path) -> tuple[str, str]:
    return (
        os.path.join(os.path.abspath(folder), ""),
        os.path.join(os.path.realpath(folder), ""),
    )
