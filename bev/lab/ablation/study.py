"""Ablation study: a base experiment, its variants, and the runs that they expand to.

A study file is plain Python that ends in ``study = Study(...)``; see ``configs/ablations``. Errors
in the settings of a variant are raised while the study is expanded, before the first run starts;
errors of the data, the weights or the network are raised in the run. The config of each run is
written to ``<study>/configs/<run>.yaml``, so that editing a file during its study has no effect.
The run itself is ``bevlab train`` on that file, on any machine.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from bev.bounds import gathered
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
from bev.training.settings import TensorBoardConfig, TrackingConfig
from bev.training.settings_check import check_settings

RUNS = Path("runs/ablations")

_ERROR = re.compile(r"^(error: (?!Stopped by )|[\w.]+(Error|Exception|Interrupt)\b)")

# Fields that do not change the results, and so may differ from those of an earlier run.
_FREE = {
    "data.root", "data.workers", "train.log_every", "train.pictures", "train.runs", "train.threads",
    *(f"train.tensorboard.{field.name}" for field in fields(TensorBoardConfig)),
    *(f"train.tracking.{field.name}" for field in fields(TrackingConfig)),
}  # fmt: skip


@dataclass(frozen=True)
class Study:
    """An ablation study, as defined in a study file.

    Attributes:
        base: base experiment of all variants.
        variants: variants by name, see ``bev.lab.ablation.variants``; all others are compared with
            the first.
        seeds: number of runs of each variant; their seeds count up from the base's seed.
        name: name of the study's folder; defaults to the name of the study file.
    """

    base: Experiment
    variants: Axis
    seeds: int = 1
    name: str = ""


@dataclass(frozen=True)
class Run:
    """One training of one variant.

    Attributes:
        variant: name of the variant in the study.
        config: experiment to train.
    """

    variant: str
    config: Experiment

    @property
    def name(self) -> str:
        """Name of the run, unique in its study."""
        return self.config.train.run_name

    @property
    def seed(self) -> int:
        """Seed of the training."""
        return self.config.train.seed

    @property
    def study(self) -> Path:
        """Folder of the study."""
        return self.config.train.runs / self.config.name

    @property
    def folder(self) -> Path:
        """Run folder."""
        return self.study / self.name

    @property
    def plan(self) -> Path:
        """Config file of the run."""
        return self.study / "configs" / f"{self.name}.yaml"

    @property
    def log(self) -> Path:
        """File with the printed output of the run."""
        return self.study / "logs" / f"{self.name}.txt"

    @property
    def finished(self) -> bool:
        """True if the run has finished."""
        return is_finished(self.folder)

    @property
    def begun(self) -> bool:
        """True if the run was interrupted and can be resumed."""
        return not self.finished and last_checkpoint(self.folder) is not None

    @property
    def error(self) -> str:
        """Last error message in the log; empty if the run is finished or can be resumed."""
        errors = [line for line in self._printed() if _ERROR.match(line)]
        return errors[-1] if errors and not self.finished else ""

    @property
    def last_line(self) -> str:
        """Last printed line; empty if the run has not begun."""
        return self._printed()[-1]

    def _printed(self) -> list[str]:
        text = self.log.read_text(errors="replace") if self.log.is_file() else ""
        return [line.strip() for line in re.split(r"[\r\n]+", text.strip())]

    def command(self) -> list[str]:
        """Command that starts the run, or resumes it; does nothing if the run is finished."""
        return [sys.executable, "-m", "bev.cli", *self.arguments()]

    def arguments(self) -> list[str]:
        """Arguments of ``bevlab`` for the run."""
        imports = [text for path in code_files(self.config) for text in ("--import", str(path))]
        return ["train", str(self.plan), "--resume", "auto", *imports]


def read_study(path: Path, base: Path | None = None) -> Study:
    """Read a study file; a config file gives a study without variants.

    Args:
        path: study or config file, which may import modules of its folder and of the parent folder;
            or the name of a shipped study, e.g. ``ablations/depth_step``.
        base: config file whose experiment replaces the study's base.

    Raises:
        ConfigError: if a file is missing or defines neither a study nor an experiment, or if a
            base is given and a variant is a complete experiment, which has no base.
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
                f"Variant {name!r} of {path} is a whole experiment, so --base has no effect on it;"
                " define the variant by flags or a function, which change the base."
            )
    return replace(study, base=load_file(base), name=f"{study.name}_{base.stem}")


def expand(
    study: Study, axes: Axis | None = None, overrides: Sequence[str] = (), runs: Path = RUNS
) -> list[Run]:
    """Expand a study into its runs, seed by seed, so that early results cover all variants.

    Args:
        study: the study.
        axes: further variants, combined with those of the study. If the study itself has none, a
            variant that is equal to the base goes first.
        overrides: command-line flags for every run, applied after the changes of the variant.
        runs: parent of the study's folder.

    Raises:
        SystemExit: for an unknown or ill-typed flag, after a message that names the nearest flag.
        ConfigError: if there are no variants or fewer than 1 seed, if the settings of a variant
            contradict one another, or if variants are the same experiment, cannot be saved, or
            differ from the existing runs of the same name in the folder.
    """
    varied = [axis for axis in (study.variants, axes) if axis]
    if not varied:
        raise ConfigError(
            f"Study {study.name} varies nothing: name an axis, e.g. --vary train.lr=1e-3,2e-3."
        )
    variants = grid(*varied)
    if study.seeds < 1:
        raise ConfigError(f"Study {study.name} has {study.seeds} seeds; set at least 1.")
    with gathered():  # _check_works() names all faults of a variant at once
        configs = {
            name: _named(study, variant, name, overrides, runs)
            for name, variant in variants.items()
        }
        _check_distinct(configs)
        if not study.variants:  # the base goes first, as all others are compared with the first
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


def changed_settings(before: Experiment, after: Experiment) -> list[str]:
    """Settings that differ between two experiments and that results may depend on, in words."""
    return [
        f"{name} was {old}, now {new}"
        for name, old, new in differences(before, after)
        if name not in _FREE
    ]


def _named(
    study: Study, variant: Variant, name: str, overrides: Sequence[str], runs: Path
) -> Experiment:
    config = apply(study.base, variant, name)
    config = override(config, overrides, name)
    config = replace(config, name=study.name, train=replace(config.train, runs=runs))
    plain = to_plain(config)
    if to_plain(from_plain(Experiment, plain, f"variant {name!r}")) != plain:
        raise ConfigError(
            f"Variant {name!r} changes when it is saved to a config file and read back."
        )
    return config


def _check_distinct(configs: dict[str, Experiment]) -> None:
    seen: dict[str, str] = {}
    for name, config in configs.items():
        for other, twin in configs.items():
            if other == name:
                break
            if twin == config:
                raise ConfigError(
                    f"Variants {other!r} and {name!r} are the same experiment; check that no flag"
                    " overrides the field that is varied."
                )
        if _slug(name) in seen:
            raise ConfigError(
                f"Variants {seen[_slug(name)]!r} and {name!r} would share a folder; rename one."
            )
        seen[_slug(name)] = name


def _check_works(run: Run) -> None:
    """Raise ConfigError for settings that the training would reject."""
    try:
        check_settings(run.config)
    except BevError as error:
        raise ConfigError(f"Variant {run.variant!r}: {error}") from error


def _check_same(run: Run) -> None:
    """Raise ConfigError if the run's folder contains a run of another experiment."""
    if not (run.finished or run.begun):
        return
    if changed := changed_settings(load_file(run.folder / "config.yaml"), run.config):
        raise ConfigError(
            f"Run folder {run.folder} contains another experiment ({'; '.join(changed)}); choose"
            " another --name, or move that folder away."
        )


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.=+-]+", "_", name).strip("_")
