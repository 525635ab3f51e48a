"""Tools end with one error message, wherever the error is raised."""

import subprocess
import sys

import pytest
from commands import ROOT
from torch.utils.data import DataLoader, Dataset

from bev.errors import BevError, DataError, run_command


class Broken(Dataset):
    """A data set in which every item raises a data error."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        raise DataError(f"Image {index}.jpg is truncated; fetch it again.")


@pytest.mark.parametrize("workers", [0, 1])
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
