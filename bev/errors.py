"""Errors that a user can mend: one clear sentence that names the thing and what to do."""

import os
import sys
from collections.abc import Callable


class BevError(Exception):
    """Base of all errors that tools show as one sentence instead of a traceback."""


class DataError(BevError):
    """The data set is not what it should be; the message names the file or token."""


class ConfigError(BevError):
    """A config file or a saved config is not what it should be."""


class WeightsError(BevError):
    """Backbone weights cannot be had; the message says what to do."""


class CheckpointError(BevError):
    """A checkpoint cannot be used; the message says why."""


class SubmissionError(BevError):
    """Boxes or a results file that the official evaluation would refuse; the message says why."""


class TrainingError(BevError):
    """Training cannot go on or cannot start as asked; the message says why."""


def run_command(main: Callable[[], None]) -> None:
    """Run a tool; a :class:`BevError` ends it with its sentence and exit status 1."""
    try:
        main()
    except BrokenPipeError:  # the reader of its output, such as ``head``, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except BevError as error:
        # A data loader's worker wraps the message into its traceback, at whose end it stands.
        name = f"{type(error).__module__}.{type(error).__qualname__}: "
        print(f"error: {str(error).rpartition(name)[2].strip()}", file=sys.stderr)
        sys.exit(1)
