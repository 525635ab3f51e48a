"""Search for good settings with Optuna, on the ablation runner.

    bevlab search searches/synthetic
    bevlab search lss_synthetic --vary train.lr=1e-4..1e-2:log train.ema=0,0.99,0.999 --trials 30

Writes to runs/searches/<search>/: search.db (the storage), report.html, a folder for each trial,
its config in configs/ and its output in logs/. Running the command again goes on where it ended;
running it elsewhere with the same --storage adds a worker. Any field of the experiment can be
overridden, for all trials.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bev.bounds import Count, Natural
from bev.errors import ConfigError
from bev.options import parse_after_name


@dataclass(frozen=True)
class Command:
    """Run a search: a search file, or a config file with a space to search.

    Attributes:
        vary: space, e.g. "train.lr=1e-4..1e-2:log" "model.view.channels=16..64:16"
            "train.ema=0,0.99"; replaces parameters of the same name in a search file.
        trials: number of trials of the whole search; 0 keeps the number set by the search.
        metric: figure of the validation that is optimised; empty keeps that of the search.
        direction: whether a higher or a lower figure is better; empty keeps that of the search.
        workers: number of trials that are trained at a time on this machine.
        one_per_gpu: train as many trials at a time as there are GPUs, one on each.
        storage: database URL or file of the search; empty for search.db in its folder.
        retries: number of times that a trial whose process was killed is continued.
        retry_failed: run the failed trials again.
        page_only: write the page of the existing trials without running anything.
        base: config file that replaces the base of the search.
        name: name of the search's folder; defaults to the file name and the varied fields.
        runs: parent folder of the search's folder.
    """

    vary: tuple[str, ...] = ()
    trials: Natural = 0
    metric: str = ""
    direction: Literal["", "auto", "maximize", "minimize"] = ""
    workers: Count = 1
    one_per_gpu: bool = False
    storage: str = ""
    retries: Natural = 1
    retry_failed: bool = False
    page_only: bool = False
    base: Path | None = None
    name: str = ""
    runs: Path = Path("runs/searches")


def main(arguments: list[str], prog: str) -> None:
    path, command, overrides = parse_after_name(
        Command, arguments, prog, "search", "searches/synthetic"
    )

    from bev.lab.ablation.queue import exits_on_signals, gpu_slots
    from bev.lab.search.definition import check_search, read_search
    from bev.lab.search.ledger import Ledger
    from bev.lab.search.page import summary, write_search_page
    from bev.lab.search.space import parse_space
    from bev.lab.search.storage import default_storage, open_search, open_storage, reachable
    from bev.lab.search.worker import Worker, cpu_threads

    search = read_search(path, command.base)
    space = parse_space(command.vary)
    fields = [name.rpartition(".")[2] for name in space]
    search = replace(
        search,
        space={**search.space, **space},
        trials=command.trials or search.trials,
        metric=command.metric or search.metric,
        direction=command.direction or search.direction,
        name=command.name or "_".join([search.name, *fields]),
    )
    search = check_search(search, overrides)
    place = command.storage or default_storage(command.runs, search.name)
    create = not command.page_only
    storage = open_storage(place, create)
    ledger = Ledger(storage, open_search(search, storage, place, command.runs, create), search)
    with reachable(place):
        if not command.page_only:
            slots = gpu_slots() if command.one_per_gpu else [{}] * command.workers
            if command.retry_failed:
                print(f"{ledger.again()} failed trials run again")
            threads = cpu_threads(len(slots))
            worker = Worker(search, ledger, place, command.runs, slots, command.retries, threads)
            with exits_on_signals():
                worker.work()
        entries = ledger.entries()
        page = write_search_page(search, ledger, command.runs)
    print(f"\n{summary(search, entries)}\nwritten to {page}")
    failed = [one for one in entries if one.state == "failed"]
    if failed and len(failed) == len(entries):
        raise ConfigError(f"All {len(failed)} trials failed; the last one: {failed[-1].reason}")
