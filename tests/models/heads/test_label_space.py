"""The center head with a label space other than nuScenes'."""

import pytest
import torch
from perfect import perfect_output
from specs import features, gt_batch, spec

from bev.data.labels import LabelSpace, ObjectClass
from bev.errors import ConfigError
from bev.geometry import BevGrid, Boxes3D
from bev.models import CenterHeadConfig, ImageClassHeadConfig
from bev.models.heads.center.decode import DecodeConfig
from bev.models.heads.center.targets import center_targets
from bev.serialization import to_plain

GRID = BevGrid(x=(-8.0, 8.0, 1.0), y=(-4.0, 6.0, 1.0), z=(-4.0, 4.0, 8.0))
YARD = LabelSpace(
    classes=(
        ObjectClass("van", task="machine", nms_overlap=0.3),
        ObjectClass("crate", nms_rescale_factor=3.0),
        ObjectClass("digger", ("empty", "full"), task="machine", nms_rescale_factor=0.4),
    ),
    attributes=("empty", "full"),
)


def boxes() -> Boxes3D:
    """A van, a crate and a full digger, far from one another."""
    return Boxes3D.make(
        torch.tensor([[-5.3, -2.2, 0.5], [0.4, 3.1, 0.2], [5.6, 0.3, 1.0]]),
        torch.tensor([[4.0, 2.0, 2.0], [1.0, 1.2, 0.8], [5.0, 2.5, 3.0]]),
        torch.tensor([0.3, -1.0, 2.0]),
        torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, -2.0]]),
        label=torch.tensor([0, 1, 2]),
        attribute=torch.tensor([-1, -1, 1]),
    )


def test_tasks_and_suppression_are_those_of_the_classes():
    config = CenterHeadConfig(shared=8, branch=0, attribute_weight=0.2)
    assert config.resolved_tasks(YARD) == (("van", "digger"), ("crate",))
    head = config.build(spec(4, GRID, YARD))
    assert head.suppression.nms_rescale_factor == (1.0, 3.0, 0.4)
    assert head.suppression.nms_overlap == (0.3, 0.2, 0.2)
    first, second = head(features(torch.randn(2, 4, 10, 16)))
    assert first.heatmap.shape == (2, 2, 10, 16) and second.heatmap.shape == (2, 1, 10, 16)
    assert first.attribute.shape == second.attribute.shape == (2, 2, 10, 16)


def test_boxes_survive_targets_and_decoding():
    config = CenterHeadConfig(attribute_weight=0.2, decode=DecodeConfig(score=0.5, nms="rotated"))
    head, gt_boxes = config.build(spec(4, GRID, YARD)), boxes()
    output = []
    for group in head.classes:
        labels = [YARD.names.index(name) for name in group]
        (targets,) = center_targets([gt_boxes], [labels], GRID)
        own = perfect_output(targets)
        output.append(own._replace(attribute=own.attribute[:, :2]))
    (found,) = head.decode(output)
    found = found[found.label.argsort()]
    assert found.label.tolist() == [0, 1, 2] and found.attribute.tolist() == [-1, -1, 1]
    for name in ("center", "size", "velocity"):
        torch.testing.assert_close(
            getattr(found, name), getattr(gt_boxes, name), atol=1e-4, rtol=1e-4
        )


def test_the_head_learns_classes_and_attributes():
    torch.manual_seed(0)
    head = CenterHeadConfig(
        shared=32, branch=0, attribute_weight=0.5, decode=DecodeConfig(score=0.3)
    ).build(spec(8, GRID, YARD))
    bev, batch = features(torch.randn(1, 8, 10, 16)), gt_batch([boxes()])
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(150):
        terms = head.loss(head(bev), batch)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    assert set(terms) == {"heatmap", "regression", "attribute"}
    (found,) = head.decode(head(bev))
    found = found[found.label.argsort()]
    assert found.label.tolist() == [0, 1, 2] and found.attribute.tolist() == [-1, -1, 1]
    assert (found.center - boxes().center).norm(dim=1).max() < 0.5


def test_classes_of_another_label_space_are_refused():
    with pytest.raises(ConfigError, match=r"'car' is unknown; known: van, crate, digger"):
        CenterHeadConfig(tasks=(("car",),)).build(spec(4, GRID, YARD))
    with pytest.raises(
        ConfigError, match=r"decode\.nms_rescale_factor needs 3 numbers, one per class, not 2"
    ):
        decode = DecodeConfig(nms_rescale_factor=(1.0, 2.0))
        CenterHeadConfig(decode=decode).build(spec(4, GRID, YARD))


def saved(labels: LabelSpace, **heads) -> dict:
    """The settings of a model, as plain data."""
    return {"labels": to_plain(labels), **{name: to_plain(own) for name, own in heads.items()}}


def test_weights_of_another_label_space_are_loaded_for_shared_classes():
    """Tasks are matched by classes; attributes differ and are not loaded."""
    there = LabelSpace(
        (ObjectClass("crate"), ObjectClass("van", task="a"), ObjectClass("bicycle", task="a")),
        ("with_rider", "without_rider"),
    )
    config = CenterHeadConfig(shared=8, branch=0, attribute_weight=0.2)
    source, head = config.build(spec(4, GRID, there)), config.build(spec(4, GRID, YARD))
    tensors = {f"model.head.{name}": value for name, value in source.state_dict().items()}
    state, notes = head.adapted("head", tensors, saved(there, head=config))
    # Tasks of the file: crate; van and bicycle. Tasks of the head: van and digger; crate.
    old = source.tasks[1]["heatmap"][-1].weight
    own = state["model.head.tasks.0.heatmap.0.weight"]
    assert torch.equal(own[0], old[0]) and torch.equal(
        own[1], head.tasks[0]["heatmap"][-1].weight[1]
    )
    assert torch.equal(
        state["model.head.tasks.1.size.0.weight"], source.tasks[0]["size"][-1].weight
    )
    assert not any(".attribute." in name for name in state)
    texts = [note.text for note in notes]
    assert any("loaded for van; new for digger" in text for text in texts)
    assert any(
        "attribute not loaded: the file has attributes of another label space" in text
        for text in texts
    )
    # Weights of the same label space are unchanged.
    same = {f"head.{name}": value for name, value in head.state_dict().items()}
    kept, notes = head.adapted("head", same, saved(YARD, head=config))
    assert kept.keys() == same.keys() and notes == []


def test_image_head_weights_of_other_classes_are_not_loaded():
    config = ImageClassHeadConfig(1.0)
    head = config.build(spec(4, GRID, YARD))
    tensors = {f"image_head.{name}": value for name, value in head.state_dict().items()}
    names = ("a", "b", "c")  # the same number, so that shapes match
    there = LabelSpace(tuple(ObjectClass(name) for name in names))
    kept, (note,) = head.adapted("image_head", tensors, saved(there, image_head=config))
    assert kept == {} and note.text == "image_head not loaded: the file has other classes"
    kept, notes = head.adapted("image_head", tensors, saved(YARD, image_head=config))
    assert kept.keys() == tensors.keys() and notes == []
