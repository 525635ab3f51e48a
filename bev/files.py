"""Files that appear whole or not at all, also where their writer is killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial-"  # begins the names of files that are being written


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, beside ``path``, whose place it takes when the block ends.

    After an error, ``path`` is what it was, and what was written is removed. A killed process
    leaves a file whose name begins with ``PARTIAL``. Each process writes to a name of its own, so
    of several that write the same file one after another wins, whole.

    Args:
        path: in a folder that exists; the name to write to ends as this does.
    """
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
