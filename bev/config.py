"""The experiment: everything that decides a run, as typed, frozen objects.

A config file is plain Python that ends in ``config = Experiment(...)``; those that this project
ships are found by name, ``lss_r50``. On the command line ``--model.view.channels 64`` replaces one
field (tyro). What is saved is plain data, see ``bev.serialization``. Nothing here opens data.
"""

import dataclasses
import difflib
import importlib.util
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro
import yaml

from bev.calls import Call
from bev.data.settings import DataConfig
from bev.errors import ConfigError
from bev.models import DetectorConfig
from bev.serialization import from_plain, to_plain
from bev.training.settings import TrainConfig

_HERE = Path(__file__).resolve().parent
# Within an installed package; beside it in a checkout.
CONFIGS = _HERE / "configs" if (_HERE / "configs").is_dir() else _HERE.parent / "configs"

_imported: list[types.ModuleType] = []  # kept, so that their classes stay known
_sources: dict[str, Path] = {}  # the file that was run when a module came in, by its name


@dataclass(frozen=True)
class Experiment:
    """Everything that decides a run.

    Attributes:
        model, data, train: the three rooms of settings.
        name: of the config file, names the run folder.
    """

    model: DetectorConfig = field(default_factory=DetectorConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    name: str = "experiment"


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment of a config file, with command-line overrides.

    Raises:
        ConfigError: as :func:`load_file`.
        SystemExit: for an unknown or ill-typed override, after a message that names the nearest.
    """
    return override(load_file(path), overrides, str(path))


def override(config: Experiment, overrides: Sequence[str], name: str) -> Experiment:
    """An experiment with command-line overrides; ``name`` is what messages call it."""
    if not overrides:
        return config  # as it is, without the time of reading its fields
    return tyro.cli(Experiment, default=config, args=list(overrides), prog=name)


def load_file(path: str | Path) -> Experiment:
    """The experiment of a config file as it stands; its name is the file's.

    Args:
        path: a Python file; the ``config.yaml`` of a run, as :func:`save_config` writes it, which
            keeps its name; or the name of a shipped config, e.g. ``lss_r50``.

    Raises:
        ConfigError: where the file is missing, defines no ``config``, or is not what was saved.
    """
    path = find_config(path)
    if path.suffix == ".yaml":
        return from_plain(Experiment, yaml.safe_load(path.read_text()))
    config = getattr(load_module(path), "config", None)
    if not isinstance(config, Experiment):
        raise ConfigError(f"Config file {path} does not end in `config = Experiment(...)`.")
    return dataclasses.replace(config, name=path.stem)


def find_config(path: str | Path) -> Path:
    """A config file, given by its path or by the name of a shipped one.

    Raises:
        ConfigError: where there is neither; names those that are there.
    """
    path = Path(path)
    shipped = CONFIGS / f"{path}.py"
    if path.is_file():
        return path
    if not path.suffix and not path.is_absolute() and shipped.is_file():
        return shipped
    if path.parent == Path() and not path.suffix:
        near = difflib.get_close_matches(str(path), shipped_configs(), 3, 0.4)
        raise ConfigError(
            f"Config {path} is neither a file nor the name of a shipped one (near:"
            f" {', '.join(near) or 'none'}); `bevlab configs` lists these."
        )
    there = path.parent.glob(f"*{path.suffix}") if path.parent.is_dir() else ()
    near = sorted(map(str, there)) or "none there"
    raise ConfigError(f"Config file {path} does not exist; there are: {near}.")


def shipped_configs() -> list[str]:
    """Names of the shipped configs and, below ``ablations/``, studies."""
    found = (path.relative_to(CONFIGS).with_suffix("") for path in CONFIGS.rglob("*.py"))
    return sorted((path.as_posix() for path in found), key=lambda name: ("/" in name, name))


def load_module(path: Path, beside: Sequence[Path] = ()) -> types.ModuleType:
    """Run a Python file that may import others of its folder, and the shipped configs, by name.

    Args:
        path: the file.
        beside: further folders that it may import from.

    Raises:
        ConfigError: where it is missing.
    """
    if not path.is_file():
        raise ConfigError(f"Python file {path} does not exist.")
    before = set(sys.modules)
    own = [str(folder.resolve()) for folder in (path.parent, *beside)]
    folders = [*own, str(CONFIGS)]
    sys.path[:0] = folders
    try:
        spec = importlib.util.spec_from_file_location(f"bev_config_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        _sources[module.__name__] = path.resolve()
        spec.loader.exec_module(module)
    finally:
        for folder in folders:
            sys.path.remove(folder)
        # Neighbours are imported by bare names: another folder may use the same ones.
        for name in set(sys.modules) - before:
            _sources.setdefault(name, path.resolve())
            if str(Path(getattr(sys.modules[name], "__file__", None) or "").parent) in folders:
                del sys.modules[name]
    return module


def import_file(path: Path) -> None:
    """Run a Python file whose classes a saved config needs (``--import``).

    Raises:
        ConfigError: where it is missing.
    """
    _imported.append(load_module(path))


def code_files(config: Experiment) -> list[Path]:
    """The files to ``--import`` for the classes of a config that are not of this package."""
    found = {_sources[kind.__module__] for kind in _classes(config) if kind.__module__ in _sources}
    return sorted(path for path in found if CONFIGS not in path.parents)


def _classes(value: Any) -> Iterator[type]:
    """The classes of a config's parts."""
    if isinstance(value, Call):
        # Classes of the family's home are looked up when they are built, not for this.
        own = (part for part in value.walk() if not part.name.startswith(f"{part.home}."))
        yield from (part.target for part in own)
    elif dataclasses.is_dataclass(value):
        yield type(value)
        for f in dataclasses.fields(value):
            yield from _classes(getattr(value, f.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _classes(item)


def save_config(config: Experiment, path: Path) -> None:
    """Write the whole experiment as YAML."""
    path.write_text(yaml.safe_dump(to_plain(config), sort_keys=False))
