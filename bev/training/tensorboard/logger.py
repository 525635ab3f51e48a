"""Lightning logger that writes scalars to event files, and what callbacks add."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning import Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary

from bev.errors import print_warnings, system_fault
from bev.evaluation.evaluation import described
from bev.training.tensorboard.event_file import EventFile

_FILES = "all events"


class EventLogger(Logger):
    """Writes the scalars of a run to event files.

    The step of an event is the number of complete optimiser steps. An error never ends the
    training: the first one is printed as a warning, and nothing is written from then on.

    Args:
        folder: run folder.

    Attributes:
        lead: optimiser steps by which Lightning's count lags behind: 1 while it trains, since it
            counts a step once it has been logged.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.lead = folder, 1
        self._file: EventFile | None = None
        self._failed: set[str] = set()

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Ignore Lightning's settings; the callback ``TensorBoardEvents`` writes the run's."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        values = [
            Summary.Value(tag=name, simple_value=float(value))
            for name, value in metrics.items()
            if name != "epoch"  # Lightning adds it everywhere
        ]
        self.add(Summary(value=values), (step or 0) + self.lead)

    @rank_zero_only
    def add(self, summary: Summary, step: int) -> None:
        """Write a summary at a number of optimiser steps."""
        self.write(Event(summary=summary, step=step))

    @rank_zero_only
    def write(self, event: Event) -> None:
        """Write any event."""
        if _FILES in self._failed:
            return
        with self.harmless(_FILES):
            if self._file is None:
                self._file = EventFile(self.folder)
            self._file.write(event)

    @rank_zero_only
    def resume(self, step: int) -> None:
        """Begin a part of the run after a number of steps: later events of earlier parts are void.

        TensorBoard drops them when it reads this event, except in the first file.
        """
        start = SessionLog(status=SessionLog.SessionStatus.START)
        self.write(Event(session_log=start, step=step + 1))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left; the validation after the training goes on in the same file."""
        with self.harmless(_FILES):
            if self._file is not None:
                self._file.flush()

    def close(self) -> None:
        """Close the file; a later event begins another one."""
        file, self._file = self._file, None
        with self.harmless(_FILES):
            if file is not None:
                file.close()

    @contextmanager
    def harmless(self, what: str) -> Iterator[None]:
        """Context in which an error ends nothing, and the first one of a kind is a warning.

        Args:
            what: name of the kind, for the warning.
        """
        try:
            yield
        except Exception as error:
            if what not in self._failed:
                self._failed.add(what)
                reason = (system_fault(error) or described(error)).rstrip(".")
                print_warnings([f"TensorBoard lacks {what} of this run from now on: {reason}."])

    def lacks(self, what: str) -> bool:
        """Return whether a kind of events, or all of them, has failed."""
        return bool(self._failed & {what, _FILES})


def event_logger(trainer: Trainer) -> EventLogger | None:
    """The logger of a run's event files, on the process that writes them; None on others."""
    if not trainer.is_global_zero:
        return None
    return next((one for one in trainer.loggers if isinstance(one, EventLogger)), None)
