"""Attributes that the network predicts."""

import math
from dataclasses import replace

import pytest
import torch
from specs import features, gt_batch, spec

from bev.data.nuscenes.classes import ATTRIBUTES, CLASSES, NUSCENES
from bev.evaluation.nuscenes.submission import submission_rows
from bev.geometry import BevGrid, Boxes3D
from bev.models import CenterHeadConfig
from bev.models.heads.center.decode import DecodeConfig, best_attribute
from bev.models.heads.center.loss import label_loss

GRID = BevGrid(x=(-8.0, 8.0, 1.0), y=(-4.0, 4.0, 1.0), z=(-5.0, 3.0, 8.0))
RIDER, STANDING, PARKED = (
    ATTRIBUTES.index(name) for name in ("cycle.with_rider", "pedestrian.standing", "vehicle.parked")
)


@pytest.mark.parametrize("favourite", range(len(ATTRIBUTES)))
def test_a_box_has_an_attribute_of_its_class_or_none(favourite):
    logits = torch.zeros(len(CLASSES), len(ATTRIBUTES))
    logits[:, favourite] = 5.0
    best = best_attribute(logits, torch.arange(len(CLASSES)), NUSCENES).tolist()
    kind = ATTRIBUTES[favourite].split(".")[0]
    for name, attribute in zip(CLASSES, best, strict=True):
        if name in ("barrier", "traffic_cone"):
            assert attribute == -1
            continue
        own = {"pedestrian": "pedestrian", "bicycle": "cycle", "motorcycle": "cycle"}
        own = own.get(name, "vehicle")
        assert ATTRIBUTES[attribute].split(".")[0] == own
        assert (attribute == favourite) == (own == kind)


def test_the_loss_of_a_worked_case():
    """Two boxes with losses -log(1/8) and -log(1/2), and a cone without an attribute."""
    sure = math.log(7)  # beside seven zeros: probability 1/2
    logits = torch.zeros(3, 8)
    logits[1, 3] = sure
    target = torch.tensor([1, 3, -1])
    expected = (math.log(8) + math.log(2)) / 2
    assert label_loss(logits, target, torch.tensor(2.0)).item() == pytest.approx(expected, abs=1e-6)
    nothing = label_loss(logits.requires_grad_(), torch.full((3,), -1), torch.tensor(1e-4))
    nothing.backward()
    assert nothing == 0 and logits.grad is not None
    none = torch.zeros(0, 8, requires_grad=True)
    label_loss(none, torch.zeros(0, dtype=torch.long), torch.tensor(1e-4)).backward()
    assert none.grad is not None
    assert len(best_attribute(none, none[:, 0].long(), NUSCENES)) == 0


def test_a_head_learns_attributes_and_they_are_submitted():
    """Four boxes of random features, all at rest by their speed."""
    gt_boxes = Boxes3D.make(
        torch.tensor([[-5.5, -2.5, 0.0], [-1.5, 2.5, 0.0], [2.5, -2.5, 0.0], [6.5, 1.5, 0.0]]),
        torch.tensor([[2.0, 1.0, 1.5]]).expand(4, 3),
        torch.zeros(4),
        torch.zeros(4, 2),
        label=torch.tensor([CLASSES.index(n) for n in ("bicycle", "pedestrian", "car", "barrier")]),
        attribute=torch.tensor([RIDER, STANDING, PARKED, -1]),
    )
    config = CenterHeadConfig(
        tasks=(CLASSES,), shared=32, branch=0, attribute_weight=0.5,
        decode=DecodeConfig(nms="none", score=0.3),
    )  # fmt: skip
    bev, batch = features(torch.randn(1, 8, 8, 16)), gt_batch([gt_boxes])
    head = config.build(spec(8, GRID))
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(150):
        terms = head.loss(head(bev), batch)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    assert set(terms) == {"heatmap", "regression", "attribute"} and terms["attribute"] < 0.01
    (found,) = head.decode(head(bev))
    rows = submission_rows("t", found, torch.eye(4, dtype=torch.float64))
    assert {row["detection_name"]: row["attribute_name"] for row in rows} == {
        "bicycle": "cycle.with_rider", "pedestrian": "pedestrian.standing",
        "car": "vehicle.parked", "barrier": "",
    }  # fmt: skip

    plain = replace(config, attribute_weight=0.0).build(spec(8, GRID))
    assert set(plain.loss(plain(bev), batch)) == {"heatmap", "regression"}
    assert not any("attribute" in name for name in plain.state_dict())
    assert plain(bev)[0].attribute.shape == (1, 0, 8, 16)
    assert all((boxes.attribute == -1).all() for boxes in plain.decode(plain(bev)))
