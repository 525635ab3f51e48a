"""How many processes train on this machine."""

import torch

from bev.machine import local_processes, usable_cores


def test_processes_without_a_gpu(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert [local_processes(n) for n in (0, 1, 2)] == [1, 1, 2]


def test_no_more_processes_than_gpus(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert [local_processes(n) for n in (0, 2, 8)] == [4, 2, 4]


def test_torchrun_decides(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert local_processes(8) == 3


def test_there_is_a_core():
    assert usable_cores() >= 1
