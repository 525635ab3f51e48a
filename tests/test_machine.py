"""Number of training processes, threads and CPU features of this machine."""

import platform
import subprocess
import sys

import pytest
import torch

from bev import machine
from bev.machine import (
    cpu_flags,
    has_fast_bf16,
    launched_alone,
    local_processes,
    rank,
    started_by,
    threads_a_process,
    usable_cores,
)


def test_processes_without_a_gpu(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert [local_processes(n) for n in (0, 1, 2)] == [1, 1, 2]


def test_one_process_per_gpu_unless_a_number_is_asked_for(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert [local_processes(n) for n in (0, 2, 8)] == [4, 2, 8]  # 8 are refused, see test_launch


def test_torchrun_sets_the_number_of_processes(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert local_processes(8) == 3


@pytest.mark.parametrize(
    "variables",
    [
        {"SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "4", "SLURM_PROCID": "3"},
        {"TORCHELASTIC_RUN_ID": "x", "RANK": "3", "LOCAL_RANK": "1", "MASTER_PORT": "29500"},
    ],
)
def test_what_a_task_starts_is_a_run_of_its_own(variables, monkeypatch):
    """As the trials of workers of a search that are the tasks of one srun."""
    kept = {"SLURM_JOB_ID": "17", "CUDA_VISIBLE_DEVICES": "2", "GROUP": "users"}
    for name, value in {**variables, **kept}.items():
        monkeypatch.setenv(name, value)
    assert started_by() and rank() == 3
    alone = launched_alone()
    assert not variables.keys() & alone.keys() and kept.items() <= alone.items()
    for name in variables:
        monkeypatch.delenv(name)
    assert (started_by(), rank(), launched_alone()) == ("", 0, alone)


def test_at_least_one_core_is_usable():
    assert usable_cores() >= 1


def test_cores_are_shared_among_processes(monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: 9)
    assert [threads_a_process(0, n) for n in (1, 2, 20)] == [9, 4, 1]
    assert threads_a_process(3, 2) == 3


@pytest.mark.skipif(
    platform.machine() != "x86_64" or platform.system() != "Linux", reason="no flags"
)
def test_flags_of_this_cpu():
    assert {"fpu", "sse2"} <= cpu_flags()  # present in every x86-64 CPU


def test_fast_bf16_depends_on_the_hardware(monkeypatch):
    monkeypatch.setattr(machine, "default_device", lambda: torch.device("cpu"))
    for flags, expected in (({"amx_bf16", "avx2"}, True), ({"avx2"}, False)):
        monkeypatch.setattr(machine, "cpu_flags", lambda f=flags: f)
        assert has_fast_bf16() is expected
    monkeypatch.setattr(machine, "default_device", lambda: torch.device("mps"))
    assert has_fast_bf16() is False


@pytest.mark.slow
def test_freed_memory_is_kept():
    code = (
        "import resource, torch; from bev.machine import keep_freed_memory\n"
        "kept = keep_freed_memory()\n"
        "for _ in range(3): torch.ones(10_000_000)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(5): torch.ones(10_000_000)\n"
        "faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "assert not kept or faults < 1000, faults\n"  # else 5 x 9766
    )
    subprocess.run([sys.executable, "-c", code], check=True)
