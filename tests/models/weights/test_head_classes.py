"""A head with other classes loads the weights of the shared classes by name."""

import pytest
import torch
from specs import features, spec

from bev.errors import WeightsError
from bev.geometry import BevGrid
from bev.models import CenterHeadConfig
from bev.models.heads.center.adaptation import matched_by_classes
from bev.models.heads.center.targets import REGRESSION
from bev.models.weights.loading import load_weights

GRID = BevGrid(x=(-8.0, 8.0, 1.0), y=(-8.0, 8.0, 1.0), z=(-4.0, 4.0, 8.0))
FILE_TASKS = (("car",), ("truck", "bus"), ("pedestrian", "traffic_cone"))
MODEL_TASKS = (("pedestrian",), ("bus", "trailer", "truck"), ("barrier",))


def detector(groups, branch) -> torch.nn.ModuleDict:
    """A head under its name in a detector, with random parameters and norm statistics."""
    head = CenterHeadConfig(tasks=groups, shared=8, branch=branch).build(spec(8, GRID))
    for value in head.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)
    return torch.nn.ModuleDict({"head": head})


@pytest.mark.parametrize("branch", [0, 4])
def test_shared_classes_keep_their_output(branch):
    """Heatmaps of shared classes and box parameters of matched tasks are the same."""
    source, target = detector(FILE_TASKS, branch).eval(), detector(MODEL_TASKS, branch).eval()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    lightning = {f"model.{name}": value for name, value in source.state_dict().items()}
    state, notes = matched_by_classes(
        lightning, FILE_TASKS, MODEL_TASKS, target["head"].state_dict()
    )
    report = load_weights(target, state, "a run")
    assert notes == [
        "head.tasks.0: heatmap rows loaded for pedestrian",
        "head.tasks.1: heatmap rows loaded for bus, truck; new for trailer",
        "head.tasks.2 (barrier): not in the file",
    ]
    bev = features(torch.randn(1, 8, 16, 16))
    old, new = source["head"](bev), target["head"](bev)
    torch.testing.assert_close(new[0].heatmap[:, 0], old[2].heatmap[:, 0])
    torch.testing.assert_close(new[1].heatmap[:, 0], old[1].heatmap[:, 1])
    torch.testing.assert_close(new[1].heatmap[:, 2], old[1].heatmap[:, 0])
    for name in REGRESSION:
        torch.testing.assert_close(getattr(new[0], name), getattr(old[2], name))
        torch.testing.assert_close(getattr(new[1], name), getattr(old[1], name))
    # New tensors keep their initial values, and unused ones are named with their classes.
    assert all(name.startswith("head.tasks.2.") for name in report.missing) and report.missing
    for name in report.missing:
        assert torch.equal(target.state_dict()[name], before[name])
    assert report.unused and all(name.endswith("(of car)") for name in report.unused)
    last = [n for n in before if n.startswith("head.tasks.1.heatmap.") and n.endswith(".bias")][-1]
    assert torch.equal(target.state_dict()[last][1], before[last][1])


def test_the_same_tasks_are_unchanged():
    state = detector(FILE_TASKS, 0).state_dict()
    same, notes = matched_by_classes(
        state, [list(group) for group in FILE_TASKS], FILE_TASKS, state
    )
    assert list(same) == list(state) and notes == []


def test_tensors_of_more_tasks_than_the_config_names_are_refused():
    state = detector(FILE_TASKS, 0).state_dict()
    with pytest.raises(WeightsError, match="more tasks"):
        matched_by_classes(state, FILE_TASKS[:1], MODEL_TASKS, state)
