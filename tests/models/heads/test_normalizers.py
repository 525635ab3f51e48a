"""Losses of the center head on two processes, against one process with both samples."""

from pathlib import Path

import counting_processes as processes
import pytest
import torch
from isolated import run_ranks

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Results of both processes."""
    folder = tmp_path_factory.mktemp("ranks")
    return run_ranks(Path(processes.__file__), processes.PROCESSES, folder)


def test_numbers_of_boxes_are_means_over_the_processes(ranks):
    """Columns: centres (at least 1, after the mean), boxes and known attributes.

    6 vehicles in all, 3 a process; one pedestrian, half a one a process; no barrier.
    """
    vehicles, pedestrians, barriers = ranks[0]["normalizers"].tolist()
    assert vehicles[1] == 3 and vehicles[0] <= 3
    assert pedestrians == [1, 0.5, 0.5]
    assert barriers == [1, pytest.approx(1e-4), pytest.approx(1e-4)]
    assert torch.equal(ranks[0]["normalizers"], ranks[1]["normalizers"])


def test_two_processes_train_like_one_with_both_samples(ranks):
    """DDP averages the gradients of the processes.

    The heatmap of pedestrians, with half a centre a process, is divided by 1 in both.
    """
    together = processes.loss_of([processes.sample(rank) for rank in range(2)])
    apart = [processes.loss_of([processes.sample(rank)]) for rank in range(2)]
    for name in ("regression", "attribute", "direction"):
        mean = sum(rank["terms"][name] for rank in ranks) / 2
        torch.testing.assert_close(mean, together["terms"][name])
        alone = sum(one["terms"][name] for one in apart) / 2
        assert not torch.isclose(alone, mean, rtol=0.01)  # as if each divided by its own number
    for name, whole in together["gradients"].items():
        mean = sum(rank["gradients"][name] for rank in ranks) / 2
        if name.startswith("tasks.0."):
            torch.testing.assert_close(mean, whole, atol=1e-6, rtol=1e-4)
        elif name.startswith("tasks.1.heatmap."):
            torch.testing.assert_close(2 * mean, whole, atol=1e-6, rtol=1e-4)
