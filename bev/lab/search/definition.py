"""Search: a base experiment, its space, and how trials are chosen and pruned.

A search file is plain Python that ends in ``search = Search(...)``; see ``configs/searches``. A
trial is a run of the ablation runner: the space's values become flags, the settings are checked,
and the config is written to ``<search>/configs/<trial>.yaml``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from bev.bounds import Bound, Count, Natural, Seed, check_bounds
from bev.config import Experiment, find_config, load_file, load_module, override
from bev.errors import ConfigError
from bev.evaluation.evaluation import headline
from bev.lab.ablation.study import Run, Study, expand
from bev.lab.search.parameters import Value
from bev.lab.search.space import Space, check_space, variant
from bev.visualization.report.meaning import meaning

RUNS = Path("runs/searches")


@dataclass(frozen=True)
class Pruning:
    """Rule by which a trial ends early, by the figure of each of its validations.

    Attributes:
        rule: "median" ends a trial whose best figure so far is below the median of the others'
            at the same epoch; "halving" keeps the best 1 / ``factor`` at each of the epochs
            ``first``, ``first`` x ``factor``, ... (Li et al. 2020, "A System for Massively
            Parallel Hyperparameter Tuning"); "none" ends none.
        startup: trials that run to their end before the median rule applies.
        warmup: epochs in which the median rule ends none.
        first: epoch of the first halving.
        factor: share that a halving keeps, as 1 / ``factor``.
    """

    rule: Literal["median", "halving", "none"] = "median"
    startup: Natural = 4
    warmup: Natural = 0
    first: Count = 1
    factor: Annotated[int, Bound(least=2)] = 3

    def __post_init__(self) -> None:
        check_bounds(self)

    def build(self) -> Any:
        """Create the pruner of Optuna."""
        from optuna import pruners

        if self.rule == "median":
            return pruners.MedianPruner(self.startup, self.warmup)
        if self.rule == "halving":
            return pruners.SuccessiveHalvingPruner(self.first, self.factor)
        return pruners.NopPruner()


@dataclass(frozen=True)
class Search:
    """A search, as defined in a search file.

    Attributes:
        base: base experiment of all trials.
        space: parameters by the names of fields, see ``bev.lab.search.space``.
        trials: number of trials.
        metric: figure of the validation that is optimised; empty for the one that selects the
            best checkpoint, e.g. NDS.
        direction: whether a higher or a lower figure is better; "auto" minimises errors whose names
            are known (``bev.visualization.report.meaning``) and maximises everything else.
        sampler: "tpe" is the tree-structured Parzen estimator (Bergstra et al. 2011); "random"
            draws uniformly.
        startup: trials that are drawn at random before the estimator chooses.
        pruning: rule by which trials end early.
        seed: seed of the sampler.
        name: name of the search's folder; defaults to the name of the search file.
    """

    base: Experiment
    space: Space
    trials: Count = 20
    metric: str = ""
    direction: Literal["auto", "maximize", "minimize"] = "auto"
    sampler: Literal["tpe", "random"] = "tpe"
    startup: Natural = 10
    pruning: Pruning = Pruning()
    seed: Seed = 0
    name: str = ""

    @property
    def figure(self) -> str:
        """Name of the figure that is optimised."""
        return self.metric or headline(self.base.model, self.base.data)

    @property
    def aim(self) -> Literal["maximize", "minimize"]:
        """Direction in which the figure improves."""
        if self.direction == "auto":
            return "minimize" if meaning(self.figure).better == "lower" else "maximize"
        return self.direction


def read_search(path: Path, base: Path | None = None) -> Search:
    """Read a search file; a config file gives a search of an empty space.

    Args:
        path: search or config file, which may import modules of its folder and of the parent
            folder; or the name of a shipped search, e.g. ``searches/synthetic``.
        base: config file whose experiment replaces the search's base.

    Raises:
        ConfigError: if a file is missing or defines neither a search nor an experiment.
    """
    path = find_config(path)
    search = None
    if path.suffix == ".py":
        search = getattr(load_module(path, beside=[path.parent.parent]), "search", None)
    if not isinstance(search, Search):
        search = Search(load_file(path), {})
    search = replace(search, name=search.name or path.stem)
    if base is None:
        return search
    return replace(search, base=load_file(base), name=f"{search.name}_{base.stem}")


def check_search(search: Search, overrides: Sequence[str]) -> Search:
    """Check a search before its first trial; returns it with the flags applied to its base.

    Raises:
        ConfigError: if a setting is outside its bounds, or a flag or value does not fit.
        SystemExit: for an unknown or ill-typed flag, after a message that names the nearest flag.
    """
    check_bounds(replace(search, base=Experiment(), space={}), "search")
    for flag in overrides:
        name = flag.partition("=")[0].lstrip("-").replace("-", "_").replace(".no_", ".")
        if flag.startswith("--") and name in search.space:
            raise ConfigError(
                f"{flag} sets the field that the search varies; leave it out, or take"
                f" {name} out of the space."
            )
    search = replace(search, base=override(search.base, overrides, search.name))
    check_space(search.space, search.base)
    return search


def trial_run(search: Search, place: int, values: Mapping[str, Value], runs: Path) -> Run:
    """The run of a trial.

    Args:
        search: the search.
        place: number of the trial in the search, from 0.
        values: values of the parameters that exist.
        runs: parent of the search's folder.

    Raises:
        ConfigError: if the settings contradict one another, or the folder has another experiment.
        SystemExit: see :func:`check_search`.
    """
    variants = {f"trial {place:03d}": variant(search.space, values)}
    study = Study(search.base, variants, name=search.name)
    (run,) = expand(study, runs=runs)
    return run
