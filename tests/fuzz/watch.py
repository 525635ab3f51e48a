"""What every input must come to: an end in time, within memory, and one sentence if refused."""

import contextlib
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jaxtyping
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

from bev.errors import BevError

_SECONDS = 30  # after which an input counts as a hang
_MEMORY = 300 << 20  # bytes above those in use before an input
_STATUSES = (None, 0, 1, 2)  # of a command: done, refused by bevlab, refused by the parser


class Hang(BaseException):
    """An input took longer than any valid one does by far."""


def fuzz(action: Callable[[Any], object], inputs: SearchStrategy, examples: int) -> Counter[str]:
    """Try inputs, and count how they end: "accepted", or "refused" in one sentence.

    Any other error, a hang and a growth of memory by 300 MB fail. Types of calls are not checked:
    a failure is what a user would see.
    """
    ended: Counter[str] = Counter()

    @settings(max_examples=examples, deadline=None, suppress_health_check=[*HealthCheck])
    @given(inputs)
    def one(value: Any) -> None:
        with watched():
            ended[outcome(lambda: action(value))] += 1

    checked = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        one()
    finally:
        jaxtyping.config.update("jaxtyping_disable", checked)
    return ended


def outcome(action: Callable[[], object]) -> str:
    """How an action ends; errors other than refusals are raised."""
    try:
        action()
    except BevError as error:
        check_sentence(str(error))
        return "refused"
    except SystemExit as stop:
        assert stop.code in _STATUSES, stop.code
        return "refused" if stop.code else "accepted"
    return "accepted"


def check_sentence(message: str) -> None:
    assert message.strip() and len(message) < 3000, message[:200]
    assert not re.search(r"Traceback|<(class|function|module) |object at 0x", message), message


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Raise :class:`Hang` after 30 seconds, and fail if memory grows by more than 300 MB."""

    def stop(*_: object) -> None:
        raise Hang

    before, handler = _reset_peak(), signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    grown = _status("VmHWM") - before
    assert grown <= _MEMORY, f"memory grew by {grown >> 20} MB"


def _reset_peak() -> int:
    """Begin to measure the peak of this process's memory; returns the bytes in use."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    path = Path("/proc/self/status")
    found = re.search(rf"{name}:\s*(\d+) kB", path.read_text()) if path.exists() else None
    return int(found[1]) << 10 if found else 0


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Make a folder the working folder, and fail if anything beside it appears in its parent."""
    before, names = os.getcwd(), sorted(os.listdir(folder.parent))
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
    assert sorted(os.listdir(folder.parent)) == names
