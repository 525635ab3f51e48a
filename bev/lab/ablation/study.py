"""A study: a base experiment, what is varied, and the runs that this expands to.

A study file is plain Python that ends in ``study = Study(...)``; see ``configs/ablations``. All
that is wrong with a variant's settings is found while expanding, before the first run starts; what
the data, the weights or the network refuse is found by the run. What a run is to do stands in
``<study>/configs/<run>.yaml``, so that nothing changes when a file is edited while its study runs,
and the run itself is ``bevlab train`` on that file, on any machine.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bev.config import (
    Experiment,
    code_files,
    find_config,
    load_file,
    load_module,
    override,
    save_config,
)
from bev.errors import BevError, ConfigError
from bev.lab.ablation.variants import Axis, Variant, apply, changes, grid
from bev.serialization import differences, from_plain, to_plain
from bev.training.record import is_finished, last_checkpoint
from bev.training.settings_check import check_settings

RUNS = Path("runs/ablations")

_ERROR = re.compile(r"^(error: (?!Stopped by )|[\w.]+(Error|Exception|Interrupt)\b)")

# Fields that say where and how to compute, not what.
_FREE = {
    "data.root", "data.workers", "train.log_every", "train.pictures", "train.runs", "train.threads",
}  # fmt: skip


@dataclass(frozen=True)
class Study:
    """What a study file defines.

    Attributes:
        base: the experiment that is varied.
        variants: by name, see ``bev.lab.ablation.variants``; the first is compared with the others.
        seeds: runs of each variant, with the base's seed and those after it.
        name: of the study's folder; the file's by default.
    """

    base: Experiment
    variants: Axis
    seeds: int = 1
    name: str = ""


@dataclass(frozen=True)
class Run:
    """One training of one variant.

    Attributes:
        variant: its name in the study.
        config: what to train.
    """

    variant: str
    config: Experiment

    @property
    def name(self) -> str:
        """Of the run, unique in its study."""
        return self.config.train.run_name

    @property
    def seed(self) -> int:
        """Of the training."""
        return self.config.train.seed

    @property
    def study(self) -> Path:
        """The study's folder."""
        return self.config.train.runs / self.config.name

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.study / self.name

    @property
    def plan(self) -> Path:
        """The config file that it starts from."""
        return self.study / "configs" / f"{self.name}.yaml"

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.study / "logs" / f"{self.name}.txt"

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        return is_finished(self.folder)

    @property
    def begun(self) -> bool:
        """Whether it was cut off where it can go on."""
        return not self.finished and last_checkpoint(self.folder) is not None

    @property
    def error(self) -> str:
        """The last error that its log names; empty for a run that is finished or may go on."""
        named = [line for line in self._printed() if _ERROR.match(line)]
        return named[-1] if named and not self.finished else ""

    @property
    def last_line(self) -> str:
        """The last that it printed; empty where it has not begun."""
        return self._printed()[-1]

    def _printed(self) -> list[str]:
        text = self.log.read_text(errors="replace") if self.log.is_file() else ""
        return [line.strip() for line in re.split(r"[\r\n]+", text.strip())]

    def command(self) -> list[str]:
        """The command that starts it, goes on where it was cut off, or finds it finished."""
        return [sys.executable, "-m", "bev.cli", *self.arguments()]

    def arguments(self) -> list[str]:
        """The arguments of ``bevlab`` for it."""
        imports = [text for path in code_files(self.config) for text in ("--import", str(path))]
        return ["train", str(self.plan), "--resume", "auto", *imports]


def read_study(path: Path, base: Path | None = None) -> Study:
    """The study of a study file; a config file is one that varies nothing.

    Args:
        path: the file, which may import others of its folder and of the one above; or the name
            of a shipped one, e.g. ``ablations/depth_step``.
        base: a config file whose experiment takes the place of the study's base.

    Raises:
        ConfigError: where a file is missing or defines neither, or where the variants are whole
            experiments, which have no base.
    """
    path = find_config(path)
    study = Study(load_file(path), {}) if path.suffix in (".yaml", ".yml") else None
    if study is None:
        module = load_module(path, beside=[path.parent.parent])
        study = getattr(module, "study", None)
        if not isinstance(study, Study):
            study = Study(load_file(path), {})
    study = replace(study, name=study.name or path.stem)
    if base is None:
        return study
    for name, variant in study.variants.items():
        if any(isinstance(change, Experiment) for change in changes(variant)):
            raise ConfigError(
                f"Variant {name!r} of {path} is a whole experiment, so --base changes nothing in"
                " it; let the study make it from its base, by flags or a function."
            )
    return replace(study, base=load_file(base), name=f"{study.name}_{base.stem}")


def expand(
    study: Study, axes: Axis | None = None, overrides: Sequence[str] = (), runs: Path = RUNS
) -> list[Run]:
    """Every run of a study, seed by seed, so that the first figures soon cover all variants.

    Args:
        axes: further variants, combined with those of the study; of axes alone the variant that
            is the base itself goes first.
        overrides: flags for every run, applied after what is varied.
        runs: parent of the study's folder.

    Raises:
        SystemExit: for an unknown or ill-typed flag, after a message that names the nearest.
        ConfigError: where a variant's settings contradict one another, and where variants are the
            same experiment, cannot be saved, or are not those of the runs in the folder.
    """
    varied = [axis for axis in (study.variants, axes) if axis]
    if not varied:
        raise ConfigError(
            f"Study {study.name} varies nothing: name an axis, e.g. --vary train.lr=1e-3,2e-3."
        )
    variants = grid(*varied)
    if study.seeds < 1:
        raise ConfigError(f"Study {study.name} has {study.seeds} seeds; give at least 1.")
    configs = {
        name: _named(study, variant, name, overrides, runs) for name, variant in variants.items()
    }
    _check_distinct(configs)
    if not study.variants:  # differences are to the base, wherever its value stands in an axis
        base = _named(study, "", "base", overrides, runs)
        configs = dict(sorted(configs.items(), key=lambda item: item[1] != base))
    expanded = [
        Run(name, replace(config, train=replace(
            config.train, seed=config.train.seed + number,
            run_name=f"{_slug(name)}_seed{config.train.seed + number}",
        )))
        for number in range(study.seeds)
        for name, config in configs.items()
    ]  # fmt: skip
    for run in expanded:
        _check_works(run)
        _check_same(run)
    return expanded


def write_plans(runs: Sequence[Run]) -> None:
    """Write the config file of every run."""
    for run in runs:
        run.plan.parent.mkdir(parents=True, exist_ok=True)
        save_config(run.config, run.plan)


def _named(
    study: Study, variant: Variant, name: str, overrides: Sequence[str], runs: Path
) -> Experiment:
    config = apply(study.base, variant, name)
    config = override(config, overrides, name)
    config = replace(config, name=study.name, train=replace(config.train, runs=runs))
    plain = to_plain(config)
    if to_plain(from_plain(Experiment, plain, f"variant {name!r}")) != plain:
        raise ConfigError(f"Variant {name!r} does not survive saving.")
    return config


def _check_distinct(configs: dict[str, Experiment]) -> None:
    seen: dict[str, str] = {}
    for name, config in configs.items():
        for other, twin in configs.items():
            if other == name:
                break
            if twin == config:
                raise ConfigError(
                    f"Variants {other!r} and {name!r} are the same experiment; an override may"
                    " undo what is varied."
                )
        if _slug(name) in seen:
            raise ConfigError(
                f"Variants {seen[_slug(name)]!r} and {name!r} would share a folder; rename one."
            )
        seen[_slug(name)] = name


def _check_works(run: Run) -> None:
    """Refuse a run that would refuse its settings."""
    try:
        check_settings(run.config)
    except BevError as error:
        raise ConfigError(f"Variant {run.variant!r}: {error}") from error


def _check_same(run: Run) -> None:
    """Refuse a run whose folder holds one of the same name that was something else."""
    if not (run.finished or run.begun):
        return
    ran = run.folder / "config.yaml"
    changed = [
        f"{name} was {before}, now {after}"
        for name, before, after in differences(load_file(ran), run.config)
        if name not in _FREE
    ]
    if changed:
        raise ConfigError(
            f"Run folder {run.folder} holds another experiment ({'; '.join(changed)}); choose"
            " another --name, or move that folder away."
        )


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.=+-]+", "_", name).strip("_")
