"""Tools end with one error message, wherever the error is raised."""

import errno
import os
import re
import subprocess
import sys

import pytest
from commands import ROOT, attempt
from torch.utils.data import DataLoader, Dataset

from bev.errors import (
    BevError,
    DataError,
    TrainingError,
    explaining,
    run_command,
    shown,
    system_fault,
)


class Broken(Dataset):
    """A data set in which every item raises a data error."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        raise DataError(f"Image {index}.jpg is truncated; fetch it again.")


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.long)])
def test_a_dataloader_error_is_printed_in_one_sentence(workers, capsys):
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: list(DataLoader(Broken(), num_workers=workers)))
    assert stop.value.code == 1
    assert capsys.readouterr().err == "error: Image 0.jpg is truncated; fetch it again.\n"


def test_a_message_of_several_lines_is_printed_in_full(capsys):
    def main():
        raise BevError("Weights w.pth do not fit:\n  size mismatch")

    with pytest.raises(SystemExit):
        run_command(main)
    assert capsys.readouterr().err == "error: Weights w.pth do not fit:\n  size mismatch\n"


def test_other_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 / 0)


def test_a_closed_pipe_prints_no_error():
    """As in ``bevlab configs | head -1``."""
    code = (
        "from bev.errors import run_command\n"
        "def main():\n    raise BrokenPipeError\n"
        "run_command(main)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device; free space"),
        (OSError(errno.EFBIG, "File too large", "a"), "File too large: a; .*ulimit -f"),
        (PermissionError(errno.EACCES, "Permission denied", "a"), "Permission denied: a; make it"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files; .*ulimit -n"),
    ],
)
def test_errors_of_the_system_are_one_sentence(error, sentence, capsys):
    def fail():
        raise error

    with pytest.raises(SystemExit):
        run_command(fail)
    assert re.search(f"^error: .*{sentence}.*$", capsys.readouterr().err.strip())
    with (
        pytest.raises(TrainingError, match=f"The run ended .{sentence}"),
        explaining("The run ended"),
    ):
        fail()


def test_an_interruption_is_one_word_with_the_status_of_a_shell(capsys):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run_command(stop)
    assert (ended.value.code, capsys.readouterr().err) == (130, "interrupted\n")


def test_a_missing_file_keeps_its_traceback():
    """It is more likely a fault of the program."""

    def fail():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "a")

    with pytest.raises(FileNotFoundError):
        run_command(fail)
    with pytest.raises(FileNotFoundError), explaining("The run ended"):
        fail()


def test_the_cause_of_an_error_is_found():
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device", "a")
        except OSError:
            raise RuntimeError("unexpected pos 64 vs 0")  # noqa: B904, as torch.save does
    except RuntimeError as error:
        assert system_fault(error).startswith("No space left on device: a")
    assert system_fault(RuntimeError("else")) == ""


def test_names_do_not_control_the_terminal(capsys):
    def main():
        raise DataError("Sample \x1b[2J\udc80 has no camera.")

    with pytest.raises(SystemExit):
        run_command(main)
    assert capsys.readouterr().err == "error: Sample \\x1b[2J\\udc80 has no camera.\n"


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, 2**10**6, [[[[[[1]]]]]] * 10**5, {n: n for n in range(10**5)}, Broken()],
    ids=["text", "number", "lists", "mapping", "object"],
)
def test_any_value_is_shown_in_a_line(value):
    assert len(shown(value)) <= 400 and "\n" not in shown(value)


def test_a_short_value_is_shown_as_it_is():
    for value in (None, 3, 0.5, "a\n", [1, [2.0, "b"]], {"a": (1, None)}, -(10**20)):
        assert shown(value) == repr(value)


def test_an_argument_that_is_no_text_is_named():
    status, _, error = attempt("convert_checkpoint.py", "\ud800", "--out", "out.ckpt")
    assert status == 1 and error.splitlines()[-1].startswith(
        r"error: Argument '\ud800' is no valid"
    )
