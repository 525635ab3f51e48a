"""SIGTERM and SIGINT ask a run to stop; it does at the end of its step, where it can go on from.

Clusters send SIGTERM some time before they kill. Lightning's own handler joins the other ranks
from within the handler, in the middle of whatever they are about; this one only takes a note.
"""

import os
import signal
import threading
from types import FrameType

from bev.errors import TrainingError


class Stopped(TrainingError):
    """A signal ended the run in good order; the message says how to go on."""


class StopSignals:
    """Takes note of the first SIGTERM or SIGINT while it listens; a second SIGINT interrupts.

    Attributes:
        received: whether one came.
        name: of the signal, or "a signal to another process" where another one got it.
    """

    def __init__(self) -> None:
        self.received, self.name = False, "a signal to another process"
        self._before: dict = {}

    def listen(self) -> None:
        """Take the signals over; only a program's main thread can."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)

    def close(self) -> None:
        """Give the signals back to who had them."""
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received, self.name = True, signal.Signals(number).name
        # Not print: the signal may have come within one.
        os.write(2, f"\n{self.name}: stopping after this step\n".encode())
