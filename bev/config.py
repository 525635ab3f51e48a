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
import weakref
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro
import yaml

from bev.calls import Call
from bev.compatibility import current_flags
from bev.data.labels import LabelSpace
from bev.data.settings import DataConfig
from bev.errors import ConfigError
from bev.models import DetectorConfig
from bev.serialization import from_plain, to_plain
from bev.training.settings import TrainConfig

# libyaml, where PyYAML comes with it: reads in a ninth of the time, writes in a quarter.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_HERE = Path(__file__).resolve().parent
# Within an installed package; beside it in a checkout.
CONFIGS = _HERE / "configs" if (_HERE / "configs").is_dir() else _HERE.parent / "configs"

# Label spaces that experiments took from their sources, by identity.
_taken: weakref.WeakValueDictionary[int, LabelSpace] = weakref.WeakValueDictionary()

_sources: dict[str, Path] = {}  # by module: the config file that first imported it, or itself


@dataclass(frozen=True)
class Experiment:
    """Everything that decides a run.

    Attributes:
        model, data, train: settings of the network, of the data and of the run.
        name: of the config file, names the run folder.

    A model without a label space takes that of the data's source, and follows where the source is
    replaced. One that was given, or loaded with a saved config, stays.
    """

    model: DetectorConfig = field(default_factory=DetectorConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    name: str = "experiment"

    def __post_init__(self) -> None:
        labels, own = self.model.labels, self.data.source.labels
        if labels is None or (labels is _taken.get(id(labels)) and labels != own):
            own = dataclasses.replace(own)  # a copy, unlike the same labels where they are given
            _taken[id(own)] = own
            object.__setattr__(self, "model", dataclasses.replace(self.model, labels=own))


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
    return tyro.cli(Experiment, default=config, args=current_flags(overrides), prog=name)


def load_file(path: str | Path) -> Experiment:
    """The experiment of a config file as it stands; its name is the file's.

    Args:
        path: a Python file; the ``config.yaml`` of a run, as :func:`save_config` writes it, which
            keeps its name; or the name of a shipped config, e.g. ``lss_r50``.

    Raises:
        ConfigError: where the file is missing, defines no ``config``, or is not what was saved.
    """
    path = find_config(path)
    if path.suffix in (".yaml", ".yml"):
        try:
            plain = yaml.load(path.read_text(encoding="utf-8"), _Loader)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            why = " ".join(str(error).split())  # the parser's message has several lines
            raise ConfigError(f"Config file {path} cannot be read: {why}.") from error
        return from_plain(Experiment, plain, str(path))
    module = load_module(path)
    config = getattr(module, "config", None)
    if not isinstance(config, Experiment):
        study = " It defines a study: `bevlab ablate` runs it." if hasattr(module, "study") else ""
        raise ConfigError(f"Config file {path} does not end in `config = Experiment(...)`.{study}")
    return dataclasses.replace(config, name=path.stem)


def find_config(path: str | Path) -> Path:
    """A config file, given by its path or by the name of a shipped one.

    Raises:
        ConfigError: where there is neither; names those that are there.
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
    there = path.parent.glob(f"*{path.suffix}") if path.suffix and path.parent.is_dir() else ()
    found = [*sorted(map(str, there)), *near]
    raise ConfigError(
        f"Config file {path} does not exist, nor is it the name of a shipped config; there are:"
        f" {', '.join(found) or 'none near'}. `bevlab configs` lists those that are shipped."
    )


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
    if path.suffix != ".py":
        mend = "give the config.yaml of its run, or --resume" if path.suffix == ".ckpt" else ""
        raise ConfigError(f"{path} is not a Python file{f'; {mend}' if mend else ''}.")
    before, path = set(sys.modules), path.resolve()
    own = [str(folder.resolve()) for folder in (path.parent, *beside)]
    folders = [*own, str(CONFIGS)]
    name = f"bev_config_{path.stem}_{zlib.crc32(str(path).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name], _sources[name] = module, path  # dataclasses look their module up
    sys.path[:0] = folders
    try:
        spec.loader.exec_module(module)
    finally:
        for folder in folders:
            sys.path.remove(folder)
        # Neighbours are imported by bare names: another folder may use the same ones.
        for new in set(sys.modules) - before - {name}:
            folder = str(Path(getattr(sys.modules[new], "__file__", None) or "").parent)
            if folder in folders:
                _sources[new] = path
                del sys.modules[new]
            elif new.partition(".")[0] != "bev":
                _sources.setdefault(new, path)
    return module


def import_file(path: Path) -> None:
    """Run a Python file whose classes a saved config needs (``--import``).

    It may import from its folder and from the one above.

    Raises:
        ConfigError: where it is missing.
    """
    load_module(path, beside=[path.resolve().parent.parent])  # as studies are read


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
    path.write_text(yaml.dump(to_plain(config), Dumper=_Dumper, sort_keys=False))
