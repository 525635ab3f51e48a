"""Resources of jobs on a cluster."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from bev.bounds import Bound, Count, Natural
from bev.errors import ConfigError

# Seconds before the time limit at which a job is signalled: time for a step and a checkpoint.
WARNING = 180


@dataclass(frozen=True)
class JobConfig:
    """Resources of each job of a cluster.

    Attributes:
        partition: partition of SLURM; empty for its default.
        hours: time limit of a job, hours; a run that needs longer goes on in the same job, queued
            again.
        gpus: GPUs of a job; 0 for none.
        cpus: CPU cores of a job.
        memory: memory of a job, GiB; 0 for the cluster's default.
        parallel: maximum number of jobs of the study that run at a time.
        sbatch: further options of sbatch, such as "account=vision" "qos=high"; one without a value
            ends in "=", such as "exclusive=".
        wait: wait for the jobs, then write the table; off, return once they are submitted.
    """

    partition: str = ""
    hours: Annotated[float, Bound(above=0, most=10_000)] = 24.0
    gpus: Annotated[int, Bound(least=0, most=64)] = 1
    cpus: Annotated[int, Bound(least=1, most=1024)] = 8
    memory: Natural = 0
    parallel: Count = 64
    sbatch: tuple[str, ...] = ()
    wait: bool = True

    def parameters(self, name: str) -> dict[str, Any]:
        """Parameters of submitit's ``AutoExecutor``.

        Raises:
            ConfigError: if an option of sbatch is not written as ``name=value``.
        """
        more: dict[str, str | bool] = {}
        for option in self.sbatch:
            key, equals, value = option.lstrip("-").partition("=")
            if not (key and equals):
                raise ConfigError(
                    f"--sbatch {option!r} is no option of sbatch; write it as name=value, such as"
                    " account=vision, or exclusive= for one without a value."
                )
            more[key] = value or True
        return {
            "name": name,
            "nodes": 1,
            "tasks_per_node": 1,
            "timeout_min": math.ceil(60 * self.hours),
            "gpus_per_node": self.gpus or None,
            "cpus_per_task": self.cpus,
            "mem_gb": self.memory or None,
            "slurm_partition": self.partition or None,
            "slurm_array_parallelism": self.parallel,
            # srun no longer takes the number from sbatch (SLURM 22.05)
            "slurm_srun_args": [f"--cpus-per-task={self.cpus}"],
            "slurm_signal_delay_s": WARNING,
            "slurm_additional_parameters": more or None,
        }
