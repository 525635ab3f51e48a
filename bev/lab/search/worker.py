"""Worker of a search: takes trials from the ledger and trains them, several at a time.

Each trial is a process, so that one that crashes or runs out of memory is a line in the table.
Workers on several machines, or several calls on one, share a search through its storage.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bev.config import code_files
from bev.cores import usable_cores
from bev.errors import BevError, ConfigError
from bev.lab.ablation.queue import Job, end, start
from bev.lab.ablation.study import Run, write_plans
from bev.lab.search.definition import Search, trial_run
from bev.lab.search.ledger import BEAT, Entry, Ledger
from bev.lab.search.page import run_name, write_search_page
from bev.lab.search.storage import VARIABLE
from bev.lab.search.trial import history, pruned_at
from bev.paths import url_of

_FIRST_FAILURES = 3


@dataclass(frozen=True)
class TrialRun(Run):
    """Run of a trial.

    Attributes:
        number: number of the attempt in Optuna's study.
        figure: figure that is optimised.
    """

    number: int
    figure: str

    def command(self) -> list[str]:
        code = [str(path) for path in code_files(self.config)]
        words = [self.config.name, str(self.number), self.figure, str(self.plan), *code]
        return [sys.executable, "-m", "bev.lab.search.trial", *words]


@dataclass
class _Active:
    entry: Entry
    job: Job


class Worker:
    """Works on a search until it is finished.

    Args:
        search: the search, which has been checked.
        ledger: its trials.
        storage: storage for the processes of trials.
        runs: parent of the search's folder.
        slots: additional environment variables of each of the processes that run at a time.
        retries: number of times that a trial whose process was killed is continued.
        threads: CPU threads of each process, where the experiment does not set them.
    """

    def __init__(
        self,
        search: Search,
        ledger: Ledger,
        storage: str,
        runs: Path,
        slots: Sequence[dict[str, str]] = ({},),
        retries: int = 1,
        threads: int = 0,
    ) -> None:
        train = search.base.train
        self.base = replace(search.base, train=replace(train, threads=train.threads or threads))
        self.search, self.ledger, self.storage = search, ledger, storage
        self.runs, self.retries = runs, retries
        self._free, self._active = list(slots), list[_Active]()

    def work(self) -> None:
        """Train trials until none is left.

        Raises:
            ConfigError: if the data do not exist, or the first trials all failed.
        """
        root = self.base.data.root
        if not url_of(root) and not root.is_dir():
            raise ConfigError(
                f"The trials need data in {root}, which does not exist; set --data.root (bevlab"
                " make-synthetic generates a synthetic world)."
            )
        self.ledger.repair()
        beaten = time.monotonic()
        waits = False
        try:
            while True:
                for lost in self.ledger.abandoned():
                    self._put_back(lost, "its worker ended before it")
                while self._free and (entry := self.ledger.claim()):
                    self._start(entry)
                if not self._active:
                    if not self.ledger.elsewhere():
                        return
                    if not waits:
                        print("waiting for the last trials of other workers", flush=True)
                    waits = True
                pause = time.monotonic() + (2.0 if waits else 0.5)
                while time.monotonic() < pause and not self._settle():
                    time.sleep(0.1)
                if time.monotonic() - beaten > BEAT:
                    self.ledger.beat([one.entry.number for one in self._active])
                    beaten = time.monotonic()
        finally:  # an interrupted search stops its trials, which save their states and go on later
            end([one.job.process for one in self._active])
            for one in self._active:
                if one.job.run.finished:
                    self._finish(one)
                else:
                    self.ledger.put_back(one.entry, "the search was stopped", counted=False)

    def _start(self, entry: Entry) -> None:
        try:
            own = replace(self.search, base=self.base)
            run = trial_run(own, entry.place, entry.values, self.runs)
        except (BevError, SystemExit) as error:
            self._failed(entry, run_name(entry), str(error))
            return
        trial = TrialRun(run.variant, run.config, entry.number, self.search.figure)
        write_plans([trial])
        values = ", ".join(f"{name} {_shown(value)}" for name, value in entry.values.items())
        label = f"[{entry.place + 1}/{self.search.trials}] {values}\n   "
        slot = self._free.pop(0)
        job = start(trial, {**slot, VARIABLE: self.storage}, label)
        job.slot = slot
        self._active.append(_Active(entry, job))
        self.ledger.started(entry, job.process.pid)

    def _settle(self) -> bool:
        """Note what came of the processes that have ended; returns whether there were any."""
        ended = [one for one in self._active if one.job.process.poll() is not None]
        for one in ended:
            self._active.remove(one)
            self._free.append(one.job.slot)
            self._finish(one)
            write_search_page(self.search, self.ledger, self.runs)
        return bool(ended)

    def _finish(self, one: _Active) -> None:
        """Note what came of a process that has ended."""
        run, entry, code = one.job.run, one.entry, one.job.process.returncode
        minutes = (time.perf_counter() - one.job.begin) / 60
        if run.finished:
            try:
                figures = history(run.folder, self.search.figure)
                epoch = pruned_at(run.folder)
            except BevError as error:
                self._failed(entry, run.name, str(error))
                return
            if not figures or figures[-1][1] != figures[-1][1]:
                self._failed(entry, run.name, f"its evaluation has no {self.search.figure}")
                return
            (_, value), figure = figures[-1], self.search.figure
            if epoch is None:
                self.ledger.complete(entry, value)
                text = f"finished: {run.name}, {figure} {value:.4f}"
            else:
                self.ledger.prune(entry)
                text = f"pruned: {run.name} after epoch {epoch}, {figure} {value:.4f}"
            print(f"{text}, {minutes:.1f} minutes", flush=True)
        elif code < 0 or (not run.error and run.begun):
            reason = f"its process was killed (exit status {code}) after: {run.last_line}"
            self._put_back(entry, reason)
        else:
            self._failed(entry, run.name, run.error or f"it stopped after: {run.last_line}")

    def _put_back(self, entry: Entry, reason: str) -> None:
        """Let a trial be continued, unless it has been too often."""
        if self.ledger.retries(entry) < self.retries:
            print(f"continues later: {run_name(entry)}: {reason}", flush=True)
            self.ledger.put_back(entry, reason)
        else:
            self._failed(entry, run_name(entry), reason)

    def _failed(self, entry: Entry, name: str, reason: str) -> None:
        """Note a failure.

        Raises:
            ConfigError: if it is one of the first trials, and all have failed.
        """
        line = " ".join(reason.removeprefix("error: ").split())
        print(f"FAILED: {name}: {line}", flush=True)
        self.ledger.fail(entry, line)
        write_search_page(self.search, self.ledger, self.runs)
        states = [one.state for one in self.ledger.entries()]
        if states.count("failed") == len(states) >= _FIRST_FAILURES:
            raise ConfigError(
                f"The first {len(states)} trials of search {self.search.name} all failed; the last"
                f" one: {line.rstrip('.')}. Once the cause is removed, --retry-failed goes on."
            )


def cpu_threads(workers: int) -> int:
    """CPU threads of each of several processes; 0, the usual number, for one."""
    return max(usable_cores() // workers, 1) if workers > 1 else 0


def _shown(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
