"""Errors that a user can fix: one sentence that names the cause and the remedy."""

import os
import sys
from collections.abc import Callable


class BevError(Exception):
    """Base class of errors that command-line tools print as one sentence, without a traceback."""


class DataError(BevError):
    """Missing, damaged or inconsistent data; the message names the file or token."""


class NoGroundTruthError(DataError):
    """A split without ground truth: its results are written, and cannot be scored."""


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


def run_command(main: Callable[[], None]) -> None:
    """Run a tool; a :class:`BevError` prints its message and exits with status 1."""
    try:
        main()
    except BrokenPipeError:  # the process that reads the output, such as ``head``, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except BevError as error:
        # An error in a dataloader worker arrives as a traceback that ends in the message.
        name = f"{type(error).__module__}.{type(error).__qualname__}: "
        print(f"error: {str(error).rpartition(name)[2].strip()}", file=sys.stderr)
        sys.exit(1)
