"""Handling of SIGTERM and SIGINT: a run stops at the end of its step, after saving.

Clusters send SIGTERM some time before they kill a job. Lightning's own handler synchronises the
ranks from within the handler, in the middle of any operation; this handler only records the signal.
"""

import os
import signal
import threading
from types import FrameType

from bev.errors import TrainingError


class Stopped(TrainingError):
    """A signal stopped the run after saving; the message contains the command to resume."""


class StopSignals:
    """Records the first SIGTERM or SIGINT while listening; a second SIGINT interrupts the program.

    Attributes:
        received: whether a signal arrived.
        name: name of the signal, or "a signal to another process" if another process received it.
    """

    def __init__(self) -> None:
        self.received, self.name = False, "a signal to another process"
        self._before: dict = {}

    def listen(self) -> None:
        """Install the signal handlers; possible only in the main thread of a program."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)

    def close(self) -> None:
        """Restore the earlier signal handlers."""
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received, self.name = True, signal.Signals(number).name
        # print() is not reentrant, and the signal may have arrived within it.
        os.write(2, f"\n{self.name}: stopping after this step\n".encode())
