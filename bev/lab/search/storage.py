"""Storage of a search by Optuna: a SQLite file, a journal file, or a server's database."""

import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bev.config import Experiment
from bev.errors import ConfigError
from bev.lab.ablation.study import changed_settings
from bev.lab.search.definition import Pruning, Search
from bev.serialization import from_plain, to_plain

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage

# Names the storage for the processes of trials: a command line would show its password.
VARIABLE = "BEV_SEARCH_STORAGE"
FILE = "search.db"
_ATTEMPTS = 3  # to open a database


def check_optuna() -> None:
    """Check that Optuna is installed, and keep it quiet.

    Raises:
        ConfigError: if it is not.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            "A search needs the package optuna; install it with pip install 'bevlab[search]'."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def open_search(
    search: Search, storage: "BaseStorage", place: str, runs: Path, create: bool = True
) -> "Study":
    """Open the study of a search in its storage, or create it.

    Args:
        search: the search, which has been checked.
        storage: the storage.
        place: its name in messages.
        runs: parent of the search's folder.
        create: create the study if the storage has none of this name.

    Raises:
        ConfigError: if the storage cannot be opened, has another search of this name, or has none
            and none may be created.
    """
    import optuna

    with _explained(place):
        if not create and search.name not in optuna.get_all_study_names(storage):
            raise _missing(search.name, place)
        study = optuna.create_study(
            storage=storage, study_name=search.name, direction=search.aim, load_if_exists=True
        )
        known, own = study.user_attrs, _account(search)
        for name, value in own.items():
            # Pruning may change: its latest rule holds for all trials from now on.
            if name not in known or (name == "pruning" and known[name] != value):
                study.set_user_attr(name, value)
    remedy = f"choose another --name, or move {runs / search.name} away"
    for name in ("space", "figure", "direction"):
        if (before := known.get(name, own[name])) != own[name]:
            other = _difference(before, own[name])
            raise ConfigError(
                f"Search {search.name} began with another {name} ({other}); {remedy}."
            )
    if "base" in known:
        before = from_plain(Experiment, known["base"], f"the base of search {search.name}")
        if changed := changed_settings(before, search.base):
            raise ConfigError(
                f"Search {search.name} began with another base ({'; '.join(changed)}); {remedy}."
            )
    return study


def reporter(place: str, name: str, number: int) -> Callable[[int, float], bool]:
    """Function that notes a trial's figure after an epoch, and returns whether it is pruned.

    Args:
        place: the storage.
        name: name of the search.
        number: number of the trial in Optuna's study.

    Raises:
        ConfigError: if the storage cannot be opened, or has no such search.
    """
    import optuna

    storage = open_storage(place)
    with _explained(place):
        study = optuna.load_study(storage=storage, study_name=name)
        pruner = Pruning(**study.user_attrs["pruning"]).build()
        own = storage.get_study_id_from_name(name)
        trial = storage.get_trial_id_from_study_id_trial_number(own, number)

    def report(epoch: int, value: float) -> bool:
        with _explained(place):
            storage.set_trial_intermediate_value(trial, epoch, value)
            return bool(pruner.prune(study, storage.get_trial(trial)))

    return report


def default_storage(runs: Path, name: str) -> str:
    """SQLite file in the folder of a search."""
    return str((runs / name / FILE).resolve())


def open_storage(place: str, create: bool = True) -> "BaseStorage":
    """Open a storage; files and their folders are created.

    Args:
        place: a database URL, or a file: ``.log`` is a journal, which also works on network file
            systems, any other name a SQLite database.
        create: create a file that does not exist.

    Raises:
        ConfigError: if it cannot be opened, or does not exist and may not be created.
    """
    check_optuna()
    from optuna import storages
    from optuna.storages.journal import JournalFileBackend

    with _explained(place):
        if "://" in place and not place.startswith("sqlite"):
            # Servers close connections that are idle, as between two validations.
            return _database(place, {"pool_pre_ping": True})
        path = Path(place.removeprefix("sqlite:///"))
        if not create and not path.is_file():
            raise _missing(path.parent.name, place)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".log":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return storages.JournalStorage(JournalFileBackend(str(path)))
        # Several processes write to the file: they wait for one another.
        return _database(f"sqlite:///{path}", {"connect_args": {"timeout": 120}})


def _database(url: str, options: dict) -> "BaseStorage":
    """Open a database; workers that begin at one time may all create its tables."""
    from optuna import storages
    from sqlalchemy.exc import DatabaseError

    for _ in range(_ATTEMPTS - 1):
        try:
            return storages.RDBStorage(url, engine_kwargs=options)
        except DatabaseError:  # such as a table that another worker has just created
            time.sleep(1)
    return storages.RDBStorage(url, engine_kwargs=options)


@contextmanager
def _explained(place: str) -> Iterator[None]:
    """Context in which any error of a storage is one sentence, without a password."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise _unusable(place, error) from error


@contextmanager
def reachable(place: str) -> Iterator[None]:
    """Context in which a storage that can no longer be reached is one sentence.

    Args:
        place: name of the storage.

    Raises:
        ConfigError: if it cannot be reached; the message has no password.
    """
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except StorageInternalError as error:
        raise _unusable(place, error.__cause__ or error) from error


def _missing(name: str, place: str) -> ConfigError:
    return ConfigError(
        f"There is no search {name} in {_without_password(place)}; check --name, --runs and"
        " --storage, or run the search without --page-only."
    )


def _unusable(place: str, error: BaseException) -> ConfigError:
    hidden = _without_password(place)
    reason = " ".join(f"{type(error).__name__}: {error}".replace(place, hidden).split())
    return ConfigError(
        f"The storage of the search, {hidden}, cannot be used ({reason[:300].rstrip('.')});"
        " check --storage, and that the driver of its database is installed."
    )


def _without_password(place: str) -> str:
    return re.sub(r"//[^@/]*@", "//***@", place)


def _account(search: Search) -> dict:
    """Description of a search, kept beside its trials."""
    space = {
        name: parameter.text() + (f", when {parameter.when.text()}" if parameter.when else "")
        for name, parameter in search.space.items()
    }
    return {
        "space": space,
        "figure": search.figure,
        "direction": search.aim,
        "pruning": asdict(search.pruning),
        "base": to_plain(search.base),
    }


def _difference(before: object, after: object) -> str:
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return f"{before}, now {after}"
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    parts = [f"{n} was {before.get(n, 'fixed')}, now {after.get(n, 'fixed')}" for n in names]
    return "; ".join(parts)
