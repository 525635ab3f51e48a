"""Launchers of a run's processes, and settings that ask for more than the machine has."""

import os
import sys

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only

from bev import machine
from bev.config import Experiment
from bev.errors import TrainingError
from bev.machine import local_processes, started_by
from bev.training.distributed import launch
from bev.training.distributed.launch import machine_faults, machines
from bev.training.folder import run_folder
from bev.training.settings import TrainConfig
from bev.training.settings_check import check_settings
from bev.training.trainer import build_trainer

JOB = {"JOB_ID": "17", "JOB_NAME": "train", "NNODES": "1", "NTASKS": "1", "PROCID": "0"}
JOB |= {"LOCALID": "0", "NODEID": "0", "NODELIST": "localhost"}
ONE_PROCESS = {
    "a batch script of one task": {},
    "a batch script of two tasks without srun": {"NTASKS": "2", "NTASKS_PER_NODE": "2"},
    "a batch script of two nodes without srun": {"NNODES": "2", "NTASKS": "2"},
    "an interactive step": {"JOB_NAME": "bash", "STEP_NUM_TASKS": "1"},
    "an interactive step with a name": {"STEP_NUM_TASKS": "1"},
    "an allocation on the login node": {"JOB_NAME": "interactive", "NTASKS": "2"},
}
STEP = {
    "STEP_NUM_TASKS": "4", "STEP_TASKS_PER_NODE": "2(x2)", "STEP_NUM_NODES": "2", "NTASKS": "4",
    "NTASKS_PER_NODE": "2", "NNODES": "2", "PROCID": "3", "LOCALID": "1", "NODEID": "1",
}  # fmt: skip


@pytest.fixture(autouse=True)
def on_a_cpu(monkeypatch):
    """No GPU, and no launcher around the tests; the rank of this process is restored."""
    monkeypatch.setattr(rank_zero_only, "rank", 0)  # a strategy sets it, for loggers too
    for name in [n for n in os.environ if n.startswith(("SLURM_", "TORCHELASTIC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def in_slurm(monkeypatch, variables):
    for name, value in {**JOB, **variables}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)


@pytest.mark.parametrize("session", ONE_PROCESS)
def test_one_slurm_task_starts_the_processes_of_both_devices(session, monkeypatch, tmp_path):
    in_slurm(monkeypatch, ONE_PROCESS[session])
    trainer = build_trainer(TrainConfig(devices=2), tmp_path, local_processes(2), "mAP", [])
    assert (trainer.world_size, trainer.num_nodes, trainer.global_rank) == (2, 1, 0)
    assert not trainer.strategy.cluster_environment.creates_processes_externally


def test_tasks_of_srun_are_the_processes(monkeypatch, tmp_path):
    in_slurm(monkeypatch, STEP)
    assert (started_by(), local_processes(0), machines()) == ("srun", 2, 2)
    trainer = build_trainer(TrainConfig(), tmp_path, local_processes(0), "mAP", [])
    assert (trainer.world_size, trainer.num_nodes, trainer.global_rank) == (4, 2, 3)
    with pytest.raises(TrainingError, match=r"Under srun .* --train.run-name"):
        run_folder(TrainConfig(runs=tmp_path), "x", None)


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("NTASKS_PER_NODE", None, "--ntasks-per-node is not set, --nodes is 2;"),
        ("NTASKS_PER_NODE", "4", "--ntasks-per-node is 4, --nodes is 2;"),  # of the job
        ("NTASKS_PER_NODE", "1(x2)", r"--ntasks-per-node is 1\(x2\), --nodes is 2;"),
        ("NNODES", "3", "--ntasks-per-node is 2, --nodes is 3;"),
    ],
)
def test_tasks_other_than_those_of_the_job_are_one_sentence(
    monkeypatch, tmp_path, variable, value, fault
):
    in_slurm(monkeypatch, STEP)
    if value is None:
        monkeypatch.delenv(f"SLURM_{variable}")
    else:
        monkeypatch.setenv(f"SLURM_{variable}", value)
    message = f"srun started 2 tasks on each of 2 nodes, but {fault} give srun both flags"
    with pytest.raises(TrainingError, match=message):
        build_trainer(TrainConfig(), tmp_path, local_processes(0), "mAP", [])


def test_more_than_the_machine_has_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(sys, "argv", [__file__])  # a worker of pytest-xdist has no script
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert machine_faults(TrainConfig(devices=4, threads=4)) == []
    threads, devices = machine_faults(TrainConfig(devices=5, threads=5))
    assert "train.threads is 5, and this machine has 4 cores" in threads
    assert "train.devices is 5, and this machine has 4 cores" in devices
    with pytest.raises(TrainingError, match=r"train.threads is 5.*train.devices is 5"):
        check_settings(Experiment(train=TrainConfig(devices=5, threads=5)), here=True)
    check_settings(Experiment(train=TrainConfig(devices=5, threads=5)))  # for another machine
    monkeypatch.setattr(launch, "default_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(machine, "default_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert machine_faults(TrainConfig(devices=2)) == []
    assert "this machine has 2 GPUs" in machine_faults(TrainConfig(devices=3))[0]


def test_a_notebook_does_not_start_several_processes(monkeypatch):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert machine_faults(TrainConfig(devices=1)) == []
    (fault,) = machine_faults(TrainConfig(devices=2))
    assert "notebook" in fault


def in_torchrun(monkeypatch, **changed):
    """Second process of the second machine, of two with two processes each."""
    variables = {
        "TORCHELASTIC_RUN_ID": "big", "WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "2", "GROUP_RANK": "1",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500",
    }  # fmt: skip
    for name, value in (variables | changed).items():
        monkeypatch.setenv(name, value)


def test_processes_of_torchrun_on_two_machines(monkeypatch, tmp_path):
    in_torchrun(monkeypatch)
    assert (started_by(), local_processes(0), machines()) == ("torchrun", 2, 2)
    trainer = build_trainer(TrainConfig(), tmp_path, local_processes(0), "mAP", [])
    assert (trainer.world_size, trainer.num_nodes, trainer.global_rank) == (4, 2, 3)
    assert trainer.strategy.cluster_environment.creates_processes_externally
    with pytest.raises(TrainingError, match=r"Under torchrun .* --train.run-name"):
        run_folder(TrainConfig(runs=tmp_path), "x", None)


def test_machines_with_unequal_numbers_of_processes_are_refused(monkeypatch, tmp_path):
    in_torchrun(monkeypatch, WORLD_SIZE="3")
    message = "torchrun started 3 processes on 2 machines, 2 of them on this one; .*--nproc-per-n"
    with pytest.raises(TrainingError, match=message):
        build_trainer(TrainConfig(), tmp_path, local_processes(0), "mAP", [])


def test_fsdp_needs_two_gpus(monkeypatch):
    sharded = TrainConfig(strategy="fsdp", ema=0.0, max_grad_norm=0.0, devices=2)
    monkeypatch.setattr(sys, "argv", [__file__])
    (fault,) = machine_faults(sharded)
    assert "'fsdp' divides the weights among two or more GPUs, and this is a machine" in fault
    with pytest.raises(TrainingError, match=r"machine without GPUs \(cpu\); set --train.strategy"):
        check_settings(Experiment(train=sharded), here=True)
    check_settings(Experiment(train=sharded))  # for another machine
    monkeypatch.setattr(launch, "default_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(machine, "default_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert machine_faults(sharded) == []
    (fault,) = machine_faults(TrainConfig(strategy="fsdp", devices=1))
    assert "and this is 1 process; set" in fault
    with pytest.raises(TrainingError, match=r"Averaged weights do not .* 'fsdp'; set --train.ema"):
        check_settings(Experiment(train=TrainConfig(strategy="fsdp")))
