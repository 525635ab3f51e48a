"""Training in stages on two processes."""

import copy
from pathlib import Path

import pytest
import staged_processes as processes
import torch
from isolated import run_ranks

from bev.training.optimization.stages import Stages, stage_at


@pytest.mark.long
def test_two_processes_train_in_stages_like_one_with_both_batches(tmp_path):
    """DDP averages the gradients of each stage's trained parameters, and expects no others."""
    ranks = run_ranks(Path(processes.__file__), processes.PROCESSES, tmp_path)
    model = processes.network()
    stages = Stages(model, processes.STAGES)
    before = copy.deepcopy(model.state_dict())
    batches = zip(*(processes.points(rank) for rank in range(processes.PROCESSES)), strict=True)
    for step, batch in enumerate(batches):
        stage = stage_at(stages.starts(processes.STEPS), step)
        stages.enter(stage)
        loss = sum(model.loss(points)["heatmap"] for points in batch) / len(batch)
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for name, p in model.named_parameters():
                if p.grad is not None:
                    p -= 0.1 * stages.rates[stage][name] * p.grad
        for found in ranks:
            assert found[step].keys() == before.keys()
            for name, value in model.state_dict().items():
                assert torch.allclose(found[step][name], value, atol=1e-6), (step, name)
                still = torch.equal(found[step][name], before[name])
                frozen = stages.rates[stage].get(name, 0) == 0
                assert still or not frozen, (step, name)
                assert not (still and not frozen), (step, name)
        before = ranks[0][step]
