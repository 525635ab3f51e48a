"""The experiment config: all settings of a run, as typed, frozen dataclasses.

A config file is plain Python that ends in ``config = Experiment(...)``; the configs of this project
are found by name, e.g. ``lss_r50``. On the command line ``--model.view.channels 64`` overrides one
field (tyro). Configs are saved as plain data, see ``bev.serialization``. This module reads no data
set.
"""

import dataclasses
import difflib
import importlib.util
import sys
import types
import weakref
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro
import yaml

from bev.bounds import check_types
from bev.calls import Call
from bev.compatibility import current_flags
from bev.data.labels import LabelSpace
from bev.data.settings import DataConfig
from bev.errors import ConfigError, shown
from bev.files import replacing
from bev.models import DetectorConfig
from bev.narrow import parse_named
from bev.paths import check_inside
from bev.plain_yaml import load_yaml
from bev.serialization import from_plain, to_plain
from bev.training.settings import TrainConfig

# libyaml, where PyYAML comes with it: writes in a quarter of the time.
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_PACKAGE = Path(__file__).resolve().parent
# Inside the package if it is installed, next to the package in a checkout.
CONFIGS = _PACKAGE / "configs" if (_PACKAGE / "configs").is_dir() else _PACKAGE.parent / "configs"

# Label spaces that experiments took from their data sources, by object id.
_taken: weakref.WeakValueDictionary[int, LabelSpace] = weakref.WeakValueDictionary()

# Module name -> the config file that first imported the module, or the module's own file.
_sources: dict[str, Path] = {}


@dataclass(frozen=True)
class Experiment:
    """All settings of a run.

    Attributes:
        model, data, train: settings of the network, of the data and of training.
        name: name of the config file; it also names the run folder.

    Neither name leads out of the folder of runs, ``train.runs``.

    A model without a label space takes the label space of the data source, also when the source is
    replaced later. A label space that was given explicitly or loaded from a saved config is kept.
    """

    model: DetectorConfig = field(default_factory=DetectorConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    name: str = "experiment"

    def __post_init__(self) -> None:
        check_types(self)
        for where, name in (("name", self.name), ("train.run_name", self.train.run_name)):
            try:
                check_inside(name or "-")
            except ValueError as error:
                raise ConfigError(
                    f"{where} is {shown(name)}, which {error}; choose a name without folders."
                ) from error
        labels, own = self.model.labels, self.data.source.labels
        if labels is None or (labels is _taken.get(id(labels)) and labels != own):
            own = dataclasses.replace(own)  # a copy: its id differs from an explicitly given one
            _taken[id(own)] = own
            object.__setattr__(self, "model", dataclasses.replace(self.model, labels=own))


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Load the experiment of a config file and apply command-line overrides.

    Raises:
        ConfigError: see :func:`load_file`.
        SystemExit: for an unknown or ill-typed override, after a message with similar flags.
    """
    return override(load_file(path), overrides, str(path))


def override(config: Experiment, overrides: Sequence[str], name: str) -> Experiment:
    """Apply command-line overrides to an experiment; ``name`` identifies it in messages."""
    if not overrides:
        return config
    flags = current_flags(overrides)
    changed = parse_named(config, flags)
    return changed or tyro.cli(Experiment, default=config, args=flags, prog=name)


def load_file(path: str | Path) -> Experiment:
    """Load the experiment of a config file, named after the file.

    Args:
        path: a Python file; the ``config.yaml`` of a run (see :func:`save_config`), which keeps
            its saved name; or the name of a shipped config, e.g. ``lss_r50``.

    Raises:
        ConfigError: if the file is missing, defines no ``config``, or is not a valid saved config.
    """
    path = find_config(path)
    if path.suffix in (".yaml", ".yml"):
        try:
            plain = load_yaml(path)
        except (OSError, ValueError) as error:
            raise ConfigError(f"Config file {path} cannot be read: {error}.") from error
        return from_plain(Experiment, plain, str(path))
    module = load_module(path)
    config = getattr(module, "config", None)
    if not isinstance(config, Experiment):
        kinds = {"study": "`bevlab ablate`", "search": "`bevlab search`"}
        hints = [
            f" It defines a {k}; run it: {by}." for k, by in kinds.items() if hasattr(module, k)
        ]
        raise ConfigError(
            f"Config file {path} does not end in `config = Experiment(...)`.{''.join(hints)}"
        )
    return dataclasses.replace(config, name=path.stem)


def find_config(path: str | Path) -> Path:
    """Find a config file by its path or by the name of a shipped config.

    Raises:
        ConfigError: if there is no such file or name; the message lists similar ones.
    """
    path = Path(path)
    if path.is_file():
        return path
    shipped = CONFIGS / f"{path}.py"
    if not path.suffix and not path.is_absolute() and shipped.is_file():
        return shipped
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file, such as {path / 'config.yaml'}.")
    if path.suffix == ".py" and path.stem in shipped_configs():
        raise ConfigError(f"Config file {path} does not exist; the shipped one is {path.stem}.")
    near = difflib.get_close_matches(path.stem, shipped_configs(), 3, 0.4)
    beside = path.parent.glob(f"*{path.suffix}") if path.suffix and path.parent.is_dir() else ()
    similar = [*sorted(map(str, beside)), *near]
    raise ConfigError(
        f"Config file {path} does not exist and is not the name of a shipped config; similar"
        f" ones: {', '.join(similar) or 'none'}. `bevlab configs` lists the shipped configs."
    )


def shipped_configs() -> list[str]:
    """Names of the shipped configs; of studies and searches below ``ablations/``, ``searches/``."""
    found = (path.relative_to(CONFIGS).with_suffix("") for path in CONFIGS.rglob("*.py"))
    return sorted((path.as_posix() for path in found), key=lambda name: ("/" in name, name))


def load_module(path: Path, beside: Sequence[Path] = ()) -> types.ModuleType:
    """Run a Python file, which may import files of its folder and shipped configs by name.

    Args:
        path: the Python file.
        beside: further folders that the file may import from.

    Raises:
        ConfigError: if the file is missing or not a Python file.
    """
    if not path.is_file():
        raise ConfigError(f"Python file {path} does not exist.")
    if path.suffix != ".py":
        remedy = "give the config.yaml of its run, or --resume" if path.suffix == ".ckpt" else ""
        raise ConfigError(f"{path} is not a Python file{f'; {remedy}' if remedy else ''}.")
    before, path = set(sys.modules), path.resolve()
    folders = [str(folder.resolve()) for folder in (path.parent, *beside)] + [str(CONFIGS)]
    name = f"bev_config_{path.stem}_{zlib.crc32(str(path).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file that can be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name], _sources[name] = module, path  # dataclasses look up their module
    sys.path[:0] = folders
    try:
        spec.loader.exec_module(module)
    finally:
        for folder in folders:
            sys.path.remove(folder)
        # Files of the folder are imported by bare names, which another folder may use as well.
        for new in set(sys.modules) - before - {name}:
            folder = str(Path(getattr(sys.modules[new], "__file__", None) or "").parent)
            if folder in folders:
                _rename_module(new, own := f"{name}.{new}")
                _sources[own] = path
            elif new.partition(".")[0] != "bev":
                _sources.setdefault(new, path)
    return module


def _rename_module(old: str, new: str) -> None:
    """Move a module to another name, where its classes' source is found as before."""
    sys.modules[new] = module = sys.modules.pop(old)
    module.__name__ = new
    for part in vars(module).values():
        if isinstance(part, type) and part.__module__ == old:
            part.__module__ = new


def import_file(path: Path) -> None:
    """Run a Python file whose classes a saved config needs (``--import``).

    The file may import from its own folder and from the parent folder.

    Raises:
        ConfigError: if the file is missing or not a Python file.
    """
    load_module(path, beside=[path.resolve().parent.parent])  # as for studies


def code_files(config: Experiment) -> list[Path]:
    """The files to ``--import`` for classes of a config that are not part of this package."""
    files = {_sources[kind.__module__] for kind in _classes(config) if kind.__module__ in _sources}
    return sorted(path for path in files if CONFIGS not in path.parents)


def _classes(value: Any) -> Iterator[type]:
    """Iterate over the classes of a config's parts."""
    if isinstance(value, Call):
        # Classes of the family's home module are installed libraries: they need no lookup here.
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
    with replacing(path) as partial:
        partial.write_text(yaml.dump(to_plain(config), Dumper=_Dumper, sort_keys=False))
