"""Run an ablation study and tabulate its results.

    bevlab ablate lss_synthetic --vary train.lr=1e-3,2e-3 --seeds 3
    bevlab ablate ablations/depth_step [--base lss_r50] [--train.lr …]
    bevlab ablate ablations/depth_step --slurm --partition gpu --hours 12

Writes to runs/ablations/<study>/: table.md, table.csv, table.tex, plot.png, a folder for each run,
the config of each run in configs/ and its output in logs/. Running the command again skips finished
runs and resumes interrupted ones. Any field of the experiment can be overridden, for all runs.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from bev.bounds import Count, Natural
from bev.errors import ConfigError
from bev.lab.jobs import JobConfig
from bev.options import parse_after_name


@dataclass(frozen=True)
class Command:
    """Run a study: a study file, or a config file with axes to vary.

    Attributes:
        vary: axes to vary, e.g. "train.lr=1e-3,2e-3" "data.image-size=128 352,256 704".
        one_at_a_time: vary one axis at a time around the base, instead of all combinations.
        seeds: number of seeds (runs) of each variant; 0 keeps the number set by the study.
        base: config file that replaces the base of the study.
        name: name of the study's folder; defaults to the file name and the varied fields.
        runs: parent folder of the study's folder.
        one_per_gpu: run as many runs in parallel as there are GPUs, one on each.
        slurm: submit the runs to SLURM as an array of jobs, wait for them, and write the table; see
            docs/clusters.md.
        job: resources of each job with --slurm.
        print: print the command of each run, for a cluster's scheduler, instead of running it.
        table_only: write the table of the existing results without running anything.
        resample: unit that the bootstrap resamples; "scenes" if neighbouring frames are similar.
        replicates: number of bootstrap replicates.
    """

    vary: tuple[str, ...] = ()
    one_at_a_time: bool = False
    seeds: Natural = 0
    base: Path | None = None
    name: str = ""
    runs: Path = Path("runs/ablations")
    one_per_gpu: bool = False
    slurm: bool = False
    job: tyro.conf.OmitArgPrefixes[JobConfig] = JobConfig()
    print: bool = False
    table_only: bool = False
    resample: Literal["samples", "scenes"] = "samples"
    replicates: Count = 1000


def main(arguments: list[str], prog: str) -> None:
    path, command, overrides = parse_after_name(
        Command, arguments, prog, "study", "ablations/cameras"
    )

    if command.slurm and command.one_per_gpu:
        raise ConfigError("--slurm and --one-per-gpu exclude each other; leave one of them out.")
    if command.job != JobConfig() and not command.slurm:
        raise ConfigError("Options of jobs, such as --partition, need --slurm; add it.")

    from bev.lab.ablation.cluster import submit, wait_for
    from bev.lab.ablation.queue import check_data, exits_on_signals, gpu_slots, printed, run_all
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
    variants = one_at_a_time(*axes) if command.one_at_a_time else grid(*axes)
    runs = expand(study, variants if axes else None, overrides, command.runs)
    write_plans(runs)
    if command.print:
        finished = "# All runs are finished; --table-only writes their table."  # a shell's comment
        print("\n".join(printed(run) for run in runs if not run.finished) or finished)
        return
    failed = []
    if command.slurm and not command.table_only:
        check_data(runs)
        jobs = submit(runs, command.job)
        if not command.job.wait:
            print(f"{len(jobs)} jobs in the queue; the same command without --no-wait tabulates.")
            return
        try:
            failed = wait_for(runs, jobs)
        except KeyboardInterrupt:
            print("\nThe jobs go on; the same command waits for them again.", flush=True)
            raise
    elif not command.table_only:
        check_data(runs)
        with exits_on_signals():
            failed = run_all(runs, gpu_slots() if command.one_per_gpu else [{}])
    text = write_report(runs, command.resample, command.replicates)
    print(f"\n{text}\nwritten to {runs[0].study}")
    if failed:
        names = ", ".join(run.name for run in failed)
        raise ConfigError(f"{len(failed)} of {len(runs)} runs failed: {names}; see their logs.")
