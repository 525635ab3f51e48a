"""Graph of layers: edges of small networks worked out by hand, and of detectors."""

import pytest
import torch
from shrunken import shrunken
from torch import nn

from bev.config import load_file
from bev.data.batch import Batch
from bev.lab.benchmark.step import random_batch
from bev.training.tensorboard.graph import layer_graph

CPU = torch.device("cpu")


class Branches(nn.Module):
    """Two layers of one input whose outputs are added by operators of this module."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1, bias=False)

    def forward(self, x):
        return 2 * self.left(x) + self.right(x.flip(-1)).relu_()


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branches, self.norm = Branches(), nn.BatchNorm2d(4)
        self.unused = nn.Linear(1, 1)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, batch):
        images = batch.views.images.flatten(0, 1).float() / 255
        features = self.branches(images)
        return {"all": [self.norm(features).flatten(2)], "constant": torch.ones(3)}


@pytest.fixture(scope="module")
def batch() -> Batch:
    return random_batch(shrunken(load_file("lss_synthetic")), CPU)


def test_edges_lead_through_the_operators_between_layers(batch):
    model = Network().train()
    model.branches.left.eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    nodes = layer_graph(model, batch)
    assert {name: [*node.inputs] for name, node in nodes.items()} == {
        "inputs/images": [],
        "inputs/cameras": [],
        "branches/left": ["inputs/images"],
        "branches/right": ["inputs/images"],
        "branches/Branches": ["branches/left", "branches/right"],
        "norm": ["branches/Branches"],
    }
    images = len(batch) * batch.views.images.shape[1]
    assert nodes["branches/left"].shapes == [[images, 4, *batch.image_size]]
    counts = {name: node.parameters for name, node in nodes.items() if node.parameters}
    assert counts == {"branches/left": 16, "branches/right": 12, "norm": 8}
    # Nothing of the model has changed.
    assert model.training and model.norm.training and not model.branches.left.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("name", ["lss_synthetic", "bevdet4d_synthetic"])
def test_a_detector_leads_from_its_images_to_its_heads(name):
    config = shrunken(load_file(name))
    model = config.model.build()
    nodes = layer_graph(model, random_batch(config, CPU))
    inputs = {name: {*node.inputs} for name, node in nodes.items()}
    assert {source for sources in inputs.values() for source in sources} <= {*inputs}
    before: set[str] = set()
    waiting = ["head/CenterHead"]
    while waiting:
        new = inputs[waiting.pop()] - before
        before |= new
        waiting += new
    images = {node for node in inputs if node.startswith("inputs/images")}
    assert len(images) == 1 + config.model.temporal.num_adjacent
    # The view transform joins features and depth by the voxel pooling, an operator of its own.
    assert images | {"view/LiftSplat", "inputs/cameras"} <= before
    assert len(inputs["view/LiftSplat"]) > 1
    for part in ("backbone", "neck", "view", "encoder", "head"):
        counted = sum(node.parameters for n, node in nodes.items() if n.startswith(f"{part}/"))
        assert counted == sum(p.numel() for p in getattr(model, part).parameters()), part


@pytest.mark.slow
def test_compiled_parts_are_followed_as_they_are_written(batch):
    plain, compiled = Network(), Network()
    compiled.branches.compile(backend="eager")
    assert layer_graph(compiled, batch) == layer_graph(plain, batch)
