"""One event file: records in TensorBoard's format, appended in the calling thread.

The writer of the library appends in a thread of its own, where a full disk ends in a traceback.
"""

import itertools
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

_FLUSH_SECONDS = 10.0
_numbers = itertools.count()


class EventFile:
    """Event file in a run folder.

    Args:
        folder: existing folder; TensorBoard reads its event files in the order of their names.

    Raises (also by :meth:`write`):
        OSError: if the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        name = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self._file = (folder / f"events.out.tfevents.{name}").open("xb")
        self._records = RecordWriter(self._file)
        self._flushed = time.monotonic()
        self.write(Event(file_version="brain.Event:2"))

    def write(self, event: Event) -> None:
        """Append an event; the file is flushed every ten seconds, and closed by an error."""
        event.wall_time = time.time()
        try:
            self._records.write(event.SerializeToString())
            if time.monotonic() - self._flushed > _FLUSH_SECONDS:
                self.flush()
        except OSError:
            with suppress(OSError):  # it writes what is left once more
                self._file.close()
            raise

    def flush(self) -> None:
        """Write what is left to the disk's cache."""
        self._file.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Write what is left, and close the file."""
        self._file.close()
