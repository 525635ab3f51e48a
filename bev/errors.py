"""Errors and warnings for a user: one sentence that names the cause and the remedy."""

import errno
import os
import reprlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

_INTERRUPTED = 130  # exit status, 128 and the number of SIGINT, as shells have it

# Errors of the system that are no fault of this program, and what helps.
_REMEDIES = {
    errno.ENOSPC: "free space on that disk",
    errno.EDQUOT: "free space within your quota",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
    errno.EROFS: "choose a folder on another disk",
    errno.EACCES: "make it accessible, or choose another place",
    errno.EPERM: "make it accessible, or choose another place",
    errno.ENOTDIR: "choose another place",
    errno.EEXIST: "move it away, or choose another place",
    errno.EISDIR: "choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "choose another place",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs",
    errno.ENOMEM: "free memory",
    errno.EIO: "check that disk",
}


class BevError(Exception):
    """Base class of errors that command-line tools print as one sentence, without a traceback."""


class DataError(BevError):
    """Missing, damaged or inconsistent data; the message names the file or token."""


class NoGroundTruthError(DataError):
    """A split that cannot be scored, without annotations or without a box that counts."""


class ConfigError(BevError):
    """An invalid config file, saved config or setting."""


class WeightsError(BevError):
    """Pretrained weights that cannot be obtained; the message gives the remedy."""


class CheckpointError(BevError):
    """A checkpoint that cannot be used; the message gives the reason."""


class SubmissionError(BevError):
    """Boxes or a results file that the official evaluation would reject, with the reason."""


class TrainingError(BevError):
    """Training that cannot start or continue as configured; the message gives the reason."""


def system_fault(error: BaseException | None) -> str:
    """Describe the error of the system that an exception is, or was raised from or during.

    Returns:
        Reason, file if it is known, and remedy; empty for other exceptions.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _REMEDIES:
            place = f": {str(error.filename)[:200]}" if error.filename else ""
            return f"{error.strerror}{place}; {remedy_of(error)}"
        error = error.__cause__ or error.__context__
    return ""


def remedy_of(error: OSError) -> str:
    """Return what helps against an error of the system; empty if that is not known."""
    return "" if error.errno is None else _REMEDIES.get(error.errno, "")


@contextmanager
def explaining(what: str) -> Iterator[None]:
    """Context in which an error of the system, such as a full disk, becomes one sentence.

    Args:
        what: beginning of the sentence.

    Raises:
        TrainingError: for an error of the system.
    """
    try:
        yield
    except OSError as error:
        if fault := system_fault(error):
            raise TrainingError(f"{what} ({fault}).") from error
        raise


class _Short(reprlib.Repr):
    """``repr`` that takes a moment and a line at most, whatever the value."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 4, 100, 100
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 12

    def repr_int(self, x: int, level: int) -> str:
        bits = x.bit_length()  # Python refuses to convert numbers of more than 4,300 digits
        return super().repr_int(x, level) if bits < 4096 else f"a number of {bits} bits"


_short = _Short()


def shown(value: Any) -> str:
    """``repr`` of a value for a message: at most 400 characters, also for nested or huge values."""
    text = _short.repr(value)
    return text if len(text) <= 400 else f"{text[:397]}..."


def count_of(number: int, noun: str) -> str:
    """A number with its noun in the singular or plural: 1 box, 2 boxes."""
    plural = "es" if noun.endswith("x") else "s"
    return f"{number} {noun}{plural if number != 1 else ''}"


def print_warnings(sentences: Iterable[str]) -> None:
    """Print warnings to the standard error, each on a line."""
    for sentence in sentences:
        print(f"warning: {sentence}", file=sys.stderr, flush=True)


def run_command(main: Callable[[], None]) -> None:
    """Run a tool; a :class:`BevError` prints its message and exits with status 1.

    So does an error of the system, such as a full disk; an interruption (Ctrl-C) exits with 130;
    any other exception ends in a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name may contain what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        main()
    except BrokenPipeError:  # the process that reads the output, such as ``head``, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except BevError as error:
        # An error in a dataloader worker arrives as a traceback that ends in the message.
        name = f"{type(error).__module__}.{type(error).__qualname__}: "
        print(f"error: {_printable(str(error).rpartition(name)[2].strip())}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if not (fault := system_fault(error)):
            raise
        print(f"error: The system refused to go on ({fault}).", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(_INTERRUPTED)


def _printable(text: str) -> str:
    """Text whose control characters are escaped: names in files may contain a terminal's codes."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
