"""Ledger of a search: which trials there are, who works on them, and what came of them.

Every trial of a search is one or several trials of Optuna: a trial whose process was killed is
marked as failed there, and a new one with the same parameters continues it in the same run folder.
Workers on several machines share the ledger through the storage. A worker renews the time of its
trials while it lives; a trial whose time is old, or whose processes on this machine have ended, is
abandoned and is continued by another worker.
"""

import os
import secrets
import socket
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bev.lab.search.definition import Search
from bev.lab.search.parameters import Value
from bev.lab.search.space import choose

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

BEAT = 20.0  # seconds between two renewals
GRACE = 180.0  # seconds after which the worker of a trial that was not renewed is taken for dead

State = Literal["complete", "pruned", "running", "waiting", "failed"]
_ORDER: tuple[State, ...] = ("complete", "pruned", "running", "waiting", "failed")


@dataclass(frozen=True)
class Entry:
    """A trial of the search, by its latest attempt.

    Attributes:
        place: number of the trial in the search, from 0.
        number: number of the attempt in Optuna's study.
        state: what has become of it.
        values: values of the parameters that exist.
        value: figure that is optimised; of a pruned trial, that of its last validation.
        curve: figures of its validations by epoch.
        reason: sentence about a failure, or about why an earlier attempt ended.
        attempts: number of attempts.
        seconds: duration of the latest attempt so far.
    """

    place: int
    number: int
    state: State
    values: dict[str, Value]
    value: float | None
    curve: dict[int, float]
    reason: str
    attempts: int
    seconds: float


class Ledger:
    """Trials of a search in a study of Optuna.

    Args:
        storage: the storage of the study.
        study: the study.
        search: the search.
    """

    def __init__(self, storage: "BaseStorage", study: "Study", search: Search) -> None:
        self.storage, self.study, self.search = storage, study, search
        # Where each worker is in a container, host and number of a later one may be the same.
        key = secrets.token_hex(8)
        self.owner = {"host": socket.gethostname(), "worker": os.getpid(), "key": key}

    def entries(self) -> list[Entry]:
        """All trials of the search in order."""
        return [_entry(place, attempts) for place, attempts in enumerate(self._attempts().values())]

    def claim(self) -> Entry | None:
        """Take the next trial: one to be continued, or a new one; None if there is none left."""
        from optuna import samplers
        from optuna.trial import TrialState

        known = self._attempts()
        waiting = any(t.state == TrialState.WAITING for own in known.values() for t in own)
        if len(known) >= self.search.trials and not waiting:
            return None
        trial = self.study.ask()
        trial.set_user_attr("owner", self.owner)
        trial.set_user_attr("alive", time.time())
        # Another worker may have taken the last one: numbers decide, the same for all workers.
        root = _root(self._frozen(trial.number))
        place = list(self._attempts()).index(root)
        if place >= self.search.trials and "continues" not in trial.user_attrs:
            trial.set_user_attr("surplus", True)
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        # A generator of its own for each trial: a search that is killed and goes on draws what it
        # would have drawn, and workers that draw at one time do not draw the same.
        seed = (self.search.seed * 1_000_003 + place) % 2**32
        self.study.sampler = (
            samplers.RandomSampler(seed)
            if self.search.sampler == "random"
            else samplers.TPESampler(seed=seed, n_startup_trials=self.search.startup)
        )
        choose(self.search.space, lambda name, parameter: parameter.suggest(trial, name))
        return _entry(place, self._attempts()[root])

    def started(self, entry: Entry, process: int) -> None:
        """Note the process of a trial."""
        self._note(entry.number, owner={**self.owner, "process": process})

    def beat(self, numbers: list[int]) -> None:
        """Renew the times of trials that this worker works on."""
        from optuna.exceptions import UpdateFinishedTrialError

        for number in numbers:
            with suppress(UpdateFinishedTrialError):  # by a worker that took this one for dead
                self._note(number, alive=time.time())

    def complete(self, entry: Entry, value: float) -> None:
        """Note the figure of a finished trial."""
        self._end(entry, "COMPLETE", value)

    def prune(self, entry: Entry) -> None:
        """Note that a trial was pruned; its figure is that of its last validation."""
        self._end(entry, "PRUNED")

    def fail(self, entry: Entry, reason: str) -> None:
        """Note that a trial failed, and why."""
        self._end(entry, "FAIL", reason=reason)

    def put_back(self, entry: Entry, reason: str, counted: bool = True) -> None:
        """Let a trial be continued, by any worker; ``counted`` is whether it counts as a retry."""
        retries = self.retries(entry) + counted
        if self._end(entry, "FAIL", reason=reason, lost=True, retries=retries):
            self._continue(self._frozen(entry.number), retries)

    def retries(self, entry: Entry) -> int:
        """Number of times that a trial has been put back."""
        return self._frozen(entry.number).user_attrs.get("retries", 0)

    def importances(self) -> dict[str, float]:
        """Share of each parameter in what the figure varies by, by PED-ANOVA (Watanabe et al. 2023,
        "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces");
        empty with fewer than four finished trials.
        """
        from optuna.importance import get_param_importances

        if sum(entry.state == "complete" for entry in self.entries()) < 4:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few trials; the page says so
            return get_param_importances(self.study)

    def abandoned(self) -> list[Entry]:
        """Trials whose workers are dead."""
        return [entry for entry in self.entries() if entry.state == "running" and self._dead(entry)]

    def elsewhere(self) -> bool:
        """Return whether another worker, which may be dead, has a trial that is not finished."""
        return any(
            one.state == "running" and not self._mine(self._frozen(one.number))
            for one in self.entries()
        )

    def repair(self) -> None:
        """Continue trials whose worker died between marking them as failed and continuing them."""
        for own in self._attempts().values():
            last = max(own, key=lambda trial: trial.number)
            if _state(last) == "failed" and last.user_attrs.get("lost"):
                self._continue(last, last.user_attrs.get("retries", 0))

    def again(self) -> int:
        """Let the failed trials be run again; returns their number."""
        failed = [entry for entry in self.entries() if entry.state == "failed"]
        for entry in failed:
            self._continue(self._frozen(entry.number), retries=0)
        return len(failed)

    def _attempts(self) -> dict[int, list["FrozenTrial"]]:
        """Attempts of each trial, by the number of the first one."""
        found: dict[int, list[FrozenTrial]] = {}
        for trial in self.study.get_trials(deepcopy=False):
            if not trial.user_attrs.get("surplus"):
                found.setdefault(_root(trial), []).append(trial)
        return dict(sorted(found.items()))

    def _frozen(self, number: int) -> "FrozenTrial":
        return next(t for t in self.study.get_trials(deepcopy=False) if t.number == number)

    def _note(self, number: int, **notes: Any) -> None:
        study = self.storage.get_study_id_from_name(self.study.study_name)
        trial = self.storage.get_trial_id_from_study_id_trial_number(study, number)
        for name, value in notes.items():
            self.storage.set_trial_user_attr(trial, name, value)

    def _end(self, entry: Entry, state: str, value: float | None = None, **notes: Any) -> bool:
        """End an attempt; returns false if another worker has ended it before."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        if self._frozen(entry.number).state.is_finished():
            return False
        try:
            self._note(entry.number, **notes)
            self.study.tell(entry.number, value, TrialState[state])
        except (UpdateFinishedTrialError, ValueError):  # the latter from tell()
            if not self._frozen(entry.number).state.is_finished():
                raise
            return False
        return True

    def _continue(self, trial: "FrozenTrial", retries: int) -> None:
        notes = {"continues": _root(trial), "earlier": trial.user_attrs.get("reason", "")}
        notes["retries"] = retries
        self.study.enqueue_trial(trial.params, user_attrs=notes)

    def _mine(self, trial: "FrozenTrial") -> bool:
        owner = trial.user_attrs.get("owner", {})
        return {name: owner.get(name) for name in self.owner} == self.owner

    def _dead(self, entry: Entry) -> bool:
        trial = self._frozen(entry.number)
        owner: Mapping[str, Any] = trial.user_attrs.get("owner", {})
        if self._mine(trial):
            return False
        begin = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        if time.time() - trial.user_attrs.get("alive", begin) > GRACE:
            return True
        if owner.get("host") != self.owner["host"]:
            return False
        # A trial whose worker is gone saves its state and ends by itself. A worker that had the
        # number of this process, as after a container has started again, is gone.
        processes = [owner[name] for name in ("worker", "process") if name in owner]
        return not any(_lives(one) for one in processes if one != self.owner["worker"])


def _entry(place: int, attempts: list["FrozenTrial"]) -> Entry:
    trial = min(attempts, key=lambda one: (_ORDER.index(_state(one)), -one.number))
    begin, end = trial.datetime_start, trial.datetime_complete
    seconds = 0.0
    if begin is not None:
        seconds = (end.timestamp() if end else time.time()) - begin.timestamp()
    curve: dict[int, float] = {}
    for attempt in attempts:
        curve |= attempt.intermediate_values
    values = trial.params or next((one.params for one in attempts if one.params), {})
    return Entry(
        place, trial.number, _state(trial), dict(values), trial.value, dict(sorted(curve.items())),
        trial.user_attrs.get("reason") or trial.user_attrs.get("earlier", ""), len(attempts),
        seconds,
    )  # fmt: skip


def _state(trial: "FrozenTrial") -> State:
    states: dict[str, State] = {
        "COMPLETE": "complete", "PRUNED": "pruned", "RUNNING": "running", "WAITING": "waiting",
    }  # fmt: skip
    return states.get(trial.state.name, "failed")


def _root(trial: "FrozenTrial") -> int:
    return trial.user_attrs.get("continues", trial.number)


def _lives(process: int) -> bool:
    """Return whether a process of this machine lives; on Windows, which cannot ask, it may."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
