"""Process of a trial: trains a config, and reports its validations to the search's storage.

    python -m bev.lab.search.trial SEARCH NUMBER FIGURE CONFIG [CODE …]

The storage is named by the environment variable ``BEV_SEARCH_STORAGE``.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bev.config import import_file, load_file
from bev.errors import CheckpointError, run_command
from bev.files import replacing
from bev.lab.search.storage import VARIABLE, reporter
from bev.machine import rank
from bev.plain_json import read_json
from bev.training.folder import named_folder
from bev.training.record import is_finished, last_checkpoint

PRUNED = "pruned.json"


def main(arguments: list[str]) -> None:
    """Train the config of a trial, or resume it."""
    name, number, figure, plan, *code = arguments
    if rank() == 0:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    for path in code:
        import_file(Path(path))
    config = load_file(plan)
    folder = named_folder(config.train, config.name)
    if is_finished(folder):
        print(f"the run in {folder} is finished")
        return

    from bev.training.limits import ValidationWatch
    from bev.training.run import train
    from bev.visualization.report.run import report_run
    from bev.visualization.training import sample_pictures

    report: Callable[[int, float], bool] = _silent
    if rank() == 0:
        (folder / PRUNED).unlink(missing_ok=True)  # it was stopped between its pruning and its end
        own = reporter(os.environ[VARIABLE], name, int(number))
        for epoch, value in history(folder, figure):  # of an earlier attempt
            own(epoch, value)
        report = _noting(own, folder)
    callbacks = [ValidationWatch(figure, report), *sample_pictures(config)]
    train(config, last_checkpoint(folder), callbacks=callbacks, finish=[report_run])


def history(folder: Path, figure: str) -> list[tuple[int, float]]:
    """Epochs and figures of the validations of a run so far.

    Raises:
        CheckpointError: if the file of the run is damaged.
    """
    path = folder / "evaluation" / "history.jsonl"
    if not path.is_file():
        return []
    found = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if figure in entry:
                found.append((int(entry["epoch"]) + 1, float(entry[figure])))
    except (ValueError, LookupError, TypeError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); move the run away, and let it run again."
        ) from error
    return found


def pruned_at(folder: Path) -> int | None:
    """Epoch after which a finished run was pruned; None if it was not.

    Raises:
        CheckpointError: if the note in the run folder is damaged.
    """
    path = folder / PRUNED
    if not path.is_file():
        return None
    remedy = "delete it if the run was not pruned."
    return read_json(path, lambda entry: int(entry["epoch"]), CheckpointError, remedy)


def _silent(epoch: int, value: float) -> bool:
    """Report of the processes of one trial other than the first."""
    return False


def _noting(report: Callable[[int, float], bool], folder: Path) -> Callable[[int, float], bool]:
    """The function, whose verdict is also noted in the run folder."""

    def noted(epoch: int, value: float) -> bool:
        over = report(epoch, value)
        if over:
            with replacing(folder / PRUNED) as partial:
                partial.write_text(json.dumps({"epoch": epoch, "value": value}) + "\n")
            print(f"pruned after epoch {epoch}", flush=True)
        return over

    return noted


def _end_with(parent: int) -> None:
    """Stop this run, which saves its state, when the process that started it has ended."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]))
