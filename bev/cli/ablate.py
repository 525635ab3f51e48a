"""Vary one thing and compare: run a study, and put it in a table.

    bevlab ablate lss_synthetic --vary train.lr=1e-3,2e-3 --seeds 3
    bevlab ablate ablations/depth_step [--base lss_r50] [--train.lr …]

Writes runs/ablations/<study>/: table.md, table.csv, table.tex, plot.png, a folder for each run, its
config in configs/ and what it printed in logs/. Called again, it skips what is finished and goes on
with what was cut off. Any field of the experiment can be overridden, for all runs.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from bev.errors import ConfigError


@dataclass(frozen=True)
class Command:
    """Run a study: a study file, or a config file and what to vary in it.

    Attributes:
        vary: axes, e.g. "train.lr=1e-3,2e-3" "data.image-size=128 352,256 704".
        one_at_a_time: vary each axis alone, beside the base; else every combination.
        seeds: runs of each variant; 0 keeps the study's number.
        base: a config file that takes the place of the study's base.
        name: of the study's folder; by default the file's and the varied fields'.
        runs: parent of the study's folder.
        one_per_gpu: as many runs at a time as there are GPUs, each on its own.
        print: do not run, but print a command for each run, for a cluster's scheduler.
        table_only: do not run, but make the table of what there is.
        resample: what the bootstrap draws; "scenes" for neighbouring frames that are much alike.
        replicates: of the bootstrap.
    """

    vary: tuple[str, ...] = ()
    one_at_a_time: bool = False
    seeds: int = 0
    base: Path | None = None
    name: str = ""
    runs: Path = Path("runs/ablations")
    one_per_gpu: bool = False
    print: bool = False
    table_only: bool = False
    resample: Literal["samples", "scenes"] = "samples"
    replicates: int = 1000


def main(arguments: list[str], prog: str) -> None:
    if arguments[:1] in (["-h"], ["--help"]):
        tyro.cli(Command, args=arguments, prog=f"{prog} CONFIG|STUDY")
    if not arguments or arguments[0].startswith("-"):
        raise ConfigError(f"Name a config or a study first: {prog} ablations/cameras")
    path, arguments = Path(arguments[0]), arguments[1:]
    command, overrides = tyro.cli(
        Command, args=arguments, prog=f"{prog} {path}", return_unknown_args=True
    )

    from bev.lab.ablation.queue import check_data, gpu_slots, printed, run_all
    from bev.lab.ablation.report import write_report
    from bev.lab.ablation.study import expand, read_study, write_plans
    from bev.lab.ablation.variants import grid, one_at_a_time, parse_axes

    study = read_study(path, command.base)
    axes = parse_axes(command.vary)
    fields = [next(iter(axis)).partition("=")[0] for axis in axes]
    study = replace(
        study,
        seeds=command.seeds or study.seeds,
        name=command.name or "_".join([study.name, *fields]),
    )
    varied = one_at_a_time(*axes) if command.one_at_a_time else grid(*axes)
    runs = expand(study, varied if axes else None, overrides, command.runs)
    write_plans(runs)
    if command.print:
        print("\n".join(printed(run) for run in runs if not run.finished))
        return
    failed = []
    if not command.table_only:
        check_data(runs)
        with _exits_on_signals():
            failed = run_all(runs, gpu_slots() if command.one_per_gpu else [{}])
    text = write_report(runs, command.resample, command.replicates)
    print(f"\n{text}\nwritten to {runs[0].study}")
    if failed:
        names = ", ".join(run.name for run in failed)
        raise ConfigError(f"{len(failed)} of {len(runs)} runs failed: {names}; see their logs.")


@contextmanager
def _exits_on_signals() -> Iterator[None]:
    """Within it a signal, or a terminal that is closed, ends the runs too; not so under nohup."""
    before = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
