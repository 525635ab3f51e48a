"""Ledger of a search: numbers of trials, continued trials, dead workers, and pruning."""

import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest

pytest.importorskip("optuna")

from bev.config import Experiment
from bev.errors import ConfigError
from bev.lab.search import Choice, Float, Pruning, Search, When
from bev.lab.search import ledger as ledgers
from bev.lab.search.ledger import Ledger
from bev.lab.search.storage import open_search, open_storage, reachable, reporter

SEARCH = Search(
    Experiment(),
    {
        "train.ema": Choice((0, 0.9)),
        "train.lr": Float(1e-4, 1, log=True),
        "train.weight_decay": Float(0, 1, when=When("train.ema", (0,))),
    },
    trials=4,
    name="s",
    startup=2,
    pruning=Pruning(startup=2),
)


def opened(folder, search=SEARCH) -> Ledger:
    storage = open_storage(str(folder / "search.db"))
    return Ledger(storage, open_search(search, storage, "search.db", folder), search)


def test_a_search_that_does_not_exist_is_not_created_for_its_page(tmp_path):
    place = str(tmp_path / "mistyped" / "search.db")
    with pytest.raises(ConfigError, match=r"no search mistyped in .*search\.db; check --name"):
        open_storage(place, create=False)
    assert not (tmp_path / "mistyped").exists()
    storage = opened(tmp_path) and open_storage(str(tmp_path / "search.db"), create=False)
    assert open_search(SEARCH, storage, "search.db", tmp_path, create=False).study_name == "s"
    other = replace(SEARCH, name="other")
    with pytest.raises(ConfigError, match=r"no search other in search\.db"):
        open_search(other, storage, "search.db", tmp_path, create=False)


def finish(ledger: Ledger) -> list[dict]:
    """Run what is left of a search; the figure of a trial is its rate."""
    while entry := ledger.claim():
        ledger.complete(entry, entry.values["train.lr"])
    return [entry.values for entry in ledger.entries()]


@pytest.mark.long
def test_a_search_that_is_killed_and_goes_on_draws_what_it_would_have_drawn(tmp_path):
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = finish(opened(tmp_path / "whole"))
    first = opened(tmp_path / "cut")
    first.complete(entry := first.claim(), entry.values["train.lr"])
    first.put_back(first.claim(), "killed")
    again = opened(tmp_path / "cut")
    assert [entry.state for entry in again.entries()] == ["complete", "waiting"]
    assert finish(again) == whole and len(whole) == 4
    entries = again.entries()
    assert [entry.attempts for entry in entries] == [1, 2, 1, 1]
    assert entries[1].reason == "killed" and [entry.place for entry in entries] == [0, 1, 2, 3]
    assert {len(values) for values in whole} == {2, 3}
    assert all(("train.weight_decay" in values) == (values["train.ema"] == "0") for values in whole)
    longer = opened(tmp_path / "cut", replace(SEARCH, trials=6))
    assert finish(longer)[:4] == whole and len(longer.entries()) == 6


def test_only_as_many_trials_as_asked_for_are_taken(tmp_path, monkeypatch):
    """Two workers that see the last place at one time: the one with the lower number has it."""
    one, two = opened(tmp_path), opened(tmp_path)
    for _ in range(3):
        one.claim()
    seen = two._attempts()
    assert one.claim().place == 3
    real, calls = two._attempts, []
    monkeypatch.setattr(two, "_attempts", lambda: real() if calls else (calls.append(1) or seen))
    assert two.claim() is None
    assert len(one.entries()) == 4 and one.claim() is None


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_workers_that_draw_at_one_time_draw_different_values(sampler, tmp_path, monkeypatch):
    search = replace(SEARCH, sampler=sampler)
    one, two = opened(tmp_path, search), opened(tmp_path, search)
    real, drawn = one.study.ask, []
    monkeypatch.setattr(one.study, "ask", lambda: drawn.append(two.claim()) or real())
    drawn.append(one.claim())
    assert [entry.place for entry in drawn] == [0, 1]
    assert drawn[0].values["train.lr"] != drawn[1].values["train.lr"]


def test_a_trial_that_another_worker_has_just_ended_stays_as_it_is(tmp_path, monkeypatch):
    one, two = opened(tmp_path), opened(tmp_path)
    entry = one.claim()
    tell = one.study.tell
    monkeypatch.setattr(one.study, "tell", lambda *a: two.complete(entry, 0.5) or tell(*a))
    one.put_back(entry, "its worker ended before it")
    assert [(found.state, found.value) for found in two.entries()] == [("complete", 0.5)]
    one.beat([entry.number])
    with pytest.raises(ValueError, match="nan"):
        two.complete(two.claim(), float("nan"))  # errors of other kinds are not hidden


def test_a_worker_is_dead_if_a_later_one_has_its_number(tmp_path):
    """As in a container that starts again: its first process is number 1."""
    entry = opened(tmp_path).claim()
    again = opened(tmp_path)
    assert [one.number for one in again.abandoned()] == [entry.number] and again.elsewhere()


def test_a_trial_of_a_dead_worker_is_abandoned(tmp_path, monkeypatch):
    ledger = opened(tmp_path)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    monkeypatch.setattr(ledger, "owner", {"host": socket.gethostname(), "worker": ended.pid})
    entry = ledger.claim()
    mine = opened(tmp_path)
    assert ledger.abandoned() == []
    assert [one.number for one in mine.abandoned()] == [entry.number] and mine.elsewhere()
    living = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    ledger.started(entry, living.pid)  # its process is saving what it has
    assert mine.abandoned() == []
    living.kill()
    living.wait()
    mine.put_back(mine.abandoned()[0], "dead")
    mine.put_back(entry, "dead")  # which has been put back before
    assert [one.state for one in mine.entries()] == ["waiting"]
    assert mine.claim().values == entry.values and mine.retries(mine.entries()[0]) == 1
    monkeypatch.setattr(ledger, "owner", {"host": "elsewhere", "worker": 1})
    other = ledger.claim()
    assert mine.abandoned() == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + ledgers.GRACE + 1)
    ledger.beat([other.number])
    assert mine.abandoned() == []
    monkeypatch.setattr(time, "time", lambda: now + 2 * (ledgers.GRACE + 1))
    assert [one.number for one in mine.abandoned()] == [other.number]


def test_a_trial_below_the_median_is_pruned(tmp_path):
    ledger = opened(tmp_path)
    place = str(tmp_path / "search.db")
    for values in ((0.1, 0.5), (0.2, 0.6)):
        entry = ledger.claim()
        report = reporter(place, "s", entry.number)
        assert [report(epoch + 1, value) for epoch, value in enumerate(values)] == [False, False]
        ledger.complete(entry, values[-1])
    entry = ledger.claim()
    report = reporter(place, "s", entry.number)
    assert not report(1, 0.18)  # the median is 0.15
    assert report(2, 0.54)  # and 0.55
    ledger.prune(entry)
    pruned = ledger.entries()[2]
    assert pruned.state == "pruned" and pruned.value == 0.54
    assert pruned.curve == {1: 0.18, 2: 0.54}
    ledger.fail(ledger.claim(), "out of memory")
    assert ledger.entries()[3].reason == "out of memory" and ledger.claim() is None
    assert ledger.again() == 1
    again = ledger.claim()
    assert again.place == 3 and ledger.claim() is None
    ledger.put_back(again, "killed")
    again = ledger.claim()
    assert ledger.retries(again) == 1
    ledger.fail(again, "killed")
    assert ledger.again() == 1 and ledger.retries(ledger.claim()) == 0


def test_another_rule_of_pruning_holds_from_then_on(tmp_path):
    opened(tmp_path)
    later = opened(tmp_path, replace(SEARCH, pruning=Pruning("halving", first=1, factor=2)))
    place = str(tmp_path / "search.db")
    kept = [reporter(place, "s", later.claim().number)(1, value) for value in (0.3, 0.2, 0.1)]
    assert kept == [False, True, True]  # the median rule would end none


def test_connections_to_a_server_are_tried_before_they_are_used(monkeypatch):
    from optuna import storages

    given = []
    monkeypatch.setattr(storages, "RDBStorage", lambda *a, **k: given.append((a, k)))
    open_storage("postgresql://server/search")
    assert given == [(("postgresql://server/search",), {"engine_kwargs": {"pool_pre_ping": True}})]


def test_workers_that_begin_at_one_time_may_all_create_the_tables(tmp_path, monkeypatch):
    from optuna import storages
    from sqlalchemy.exc import OperationalError

    place, faults = str(tmp_path / "search.db"), []
    open_database = storages.RDBStorage

    def late(*given, **options):
        if len(faults) < most:
            faults.append(OperationalError("CREATE TABLE", {}, Exception("it exists already")))
            raise faults[-1]
        return open_database(*given, **options)

    monkeypatch.setattr(storages, "RDBStorage", late)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    most = 2
    assert isinstance(open_storage(place), open_database) and len(faults) == 2
    most = 99
    with pytest.raises(ConfigError, match="search.db, cannot be used .*it exists already"):
        open_storage(place)
    assert len(faults) == 5


def test_another_search_of_the_same_name_is_refused(tmp_path):
    opened(tmp_path)
    base = Experiment()
    for changed, message in [
        (
            {"space": {"train.lr": Float(1e-4, 2)}},
            r"another space \(.*train.lr was 0.0001 to 1, log",
        ),
        ({"metric": "mAP"}, r"another figure \(NDS, now mAP\)"),
        ({"direction": "minimize"}, "another direction"),
        (
            {"base": replace(base, train=replace(base.train, epochs=3))},
            r"another base \(train.epochs was 24, now 3\); choose another --name",
        ),
    ]:
        with pytest.raises(ConfigError, match=message):
            opened(tmp_path, replace(SEARCH, **changed))
    free = replace(base, train=replace(base.train, threads=3))
    opened(tmp_path, replace(SEARCH, base=free, trials=9))


def test_a_storage_that_cannot_be_opened_is_one_sentence_without_its_password(tmp_path):
    with pytest.raises(ConfigError) as caught:
        open_storage("nosuchbase://me:secret@server/search")
    text = str(caught.value)
    assert text.startswith("The storage of the search, nosuchbase://***@server/search, cannot be")
    assert "secret" not in text and "\n" not in text


def test_a_storage_that_is_lost_later_is_one_sentence_too(tmp_path):
    ledger = opened(tmp_path)
    (tmp_path / "search.db").write_bytes(b"of another program " * 300)
    message = r"^The storage of the search, search.db, cannot be used \(DatabaseError: .*not a data"
    with pytest.raises(ConfigError, match=message), reachable("search.db"):
        ledger.claim()
    with pytest.raises(KeyError), reachable("search.db"):  # of which it is not the cause
        raise KeyError("x")


def test_a_journal_is_a_storage_too(tmp_path):
    place = str(tmp_path / "search.log")
    storage = open_storage(place)
    ledger = Ledger(storage, open_search(SEARCH, storage, place, tmp_path), SEARCH)
    assert finish(ledger) == finish(opened(tmp_path))
    assert ledger.importances().keys() == set(SEARCH.space)


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"^A search needs the package optuna; install it with "):
        open_storage("x.db")
