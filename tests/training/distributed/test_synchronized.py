"""Batch norms over the samples of all processes."""

from pathlib import Path

import pytest
import synchronized_processes as processes
import torch
from isolated import run_ranks

from bev.training.distributed.synchronized import synchronize


@pytest.mark.long
def test_two_processes_normalise_like_one_with_all_samples(tmp_path):
    """Outputs, gradients of inputs and weights, and running statistics; with timm's activation."""
    ranks = run_ranks(Path(processes.__file__), len(processes.SAMPLES), tmp_path)
    whole = processes.measured(processes.network().train(), processes.samples())
    for name in ("output", "input"):
        found = torch.cat([rank[name] for rank in ranks])
        assert torch.allclose(found, whole[name], atol=1e-10), name
    for name, value in whole["gradients"].items():
        found = sum(rank["gradients"][name] for rank in ranks)
        assert torch.allclose(found, value, atol=1e-10), name
    for rank in ranks:
        assert rank["tensors"].keys() == whole["tensors"].keys()
        for name, value in whole["tensors"].items():
            assert torch.allclose(rank["tensors"][name], value, atol=1e-10), name


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("training", [True, False])
def test_in_one_process_nothing_changes(training, device):
    model, again = processes.network().train(training), processes.network().train(training)
    synchronize(again, device)
    first, second = (processes.measured(one, processes.samples()) for one in (model, again))
    assert torch.equal(first["output"], second["output"])
    assert torch.equal(first["input"], second["input"])
    assert list(model.state_dict()) == list(again.state_dict())
