"""Atomic file writes: a file is replaced as a whole, or not at all if its writer is killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial-"  # prefix of the names of files that are being written


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path`` that replaces ``path`` when the block ends.

    After an error ``path`` is unchanged and the temporary file is removed. A killed process leaves
    a file whose name begins with ``PARTIAL``. Each process writes to a temporary file of its own,
    so if several write the same ``path``, the last one to finish replaces it with a whole file.

    Args:
        path: file in an existing folder; the temporary file has the same suffix.
    """
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
