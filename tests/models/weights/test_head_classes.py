"""A head for other classes takes over what was learned of those it shares, by name."""

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
THERE = (("car",), ("truck", "bus"), ("pedestrian", "traffic_cone"))
HERE = (("pedestrian",), ("bus", "trailer", "truck"), ("barrier",))


def detector(groups, branch) -> torch.nn.ModuleDict:
    """A head where a detector has it, its norms made unlike those of a fresh one."""
    head = CenterHeadConfig(tasks=groups, shared=8, branch=branch).build(spec(8, GRID))
    for value in head.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)
    return torch.nn.ModuleDict({"head": head})


@pytest.mark.parametrize("branch", [0, 4])
def test_shared_classes_keep_what_they_say(branch):
    """Heatmaps of shared classes are the same maps; boxes of a matched group are the same boxes."""
    source, target = detector(THERE, branch).eval(), detector(HERE, branch).eval()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    lightning = {f"model.{name}": value for name, value in source.state_dict().items()}
    state, notes = matched_by_classes(lightning, THERE, HERE, target["head"].state_dict())
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
    # What is new is as it was built, and what has no place here is named with its classes.
    assert all(name.startswith("head.tasks.2.") for name in report.missing) and report.missing
    for name in report.missing:
        assert torch.equal(target.state_dict()[name], before[name])
    assert report.unused and all(name.endswith("(of car)") for name in report.unused)
    last = [n for n in before if n.startswith("head.tasks.1.heatmap.") and n.endswith(".bias")][-1]
    assert torch.equal(target.state_dict()[last][1], before[last][1])


def test_the_same_groups_are_left_alone():
    state = detector(THERE, 0).state_dict()
    same, notes = matched_by_classes(state, [list(group) for group in THERE], THERE, state)
    assert list(same) == list(state) and notes == []


def test_tensors_of_more_tasks_than_the_config_names_are_refused():
    state = detector(THERE, 0).state_dict()
    with pytest.raises(WeightsError, match="more tasks"):
        matched_by_classes(state, THERE[:1], HERE, state)
