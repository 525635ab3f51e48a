"""Depthwise convolutions under autocast on a CPU."""

import copy

import pytest
import timm
import torch
from torch import nn

from bev.models import BackboneConfig
from bev.models.image.depthwise import depthwise_in_float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_values_and_gradients_are_those_of_float32_rounded_once(dtype):
    plain = nn.Conv2d(6, 6, 5, stride=2, padding=2, groups=6)
    ours = nn.Sequential(copy.deepcopy(plain))
    depthwise_in_float32(ours)
    image = torch.randn(2, 6, 9, 11)

    exact = plain(image)
    with torch.autocast("cpu", dtype=dtype):
        found = ours(image)
    assert found.dtype == dtype
    assert torch.equal(found, exact.to(dtype))

    exact.sum().backward()  # ones: exact in any type
    found.sum().backward()
    assert torch.equal(ours[0].weight.grad, plain.weight.grad)


def test_other_convolutions_and_other_precisions_are_unchanged():
    module = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(1, 1, 3))
    depthwise_in_float32(module)
    assert not any("forward" in vars(part) for part in module)

    double = nn.Conv2d(4, 4, 3, groups=4).double()
    depthwise_in_float32(double)
    assert double(torch.randn(1, 4, 5, 5).double()).dtype == torch.float64


def test_recomputed_blocks_give_the_same_gradients():
    settings = dict(name="tf_efficientnet_lite0", pretrained=False)
    torch.manual_seed(0)
    plain = BackboneConfig(**settings).build()
    again = BackboneConfig(**settings, checkpointing=True).build()
    again.load_state_dict(plain.state_dict())
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    for body in (plain, again):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            sum(features.float().sum() for features in body(images)).backward()
    for ours, theirs in zip(again.parameters(), plain.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        assert ours.grad is None or torch.equal(ours.grad, theirs.grad)


def test_a_backbone_keeps_its_names_and_can_be_copied():
    body = BackboneConfig("tf_efficientnet_lite0", pretrained=False).build().body
    twin = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(3, 4))
    assert list(body.state_dict()) == list(twin.state_dict())
    body.load_state_dict(twin.state_dict())

    image = torch.rand(1, 3, 64, 64)
    again = copy.deepcopy(body).eval()
    with torch.no_grad():
        for parameter in body.parameters():  # the copy must use its own
            parameter.zero_()
    for ours, theirs in zip(again(image), twin.eval()(image), strict=True):
        assert torch.equal(ours, theirs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        deepest = again(image)[-1]
    assert deepest.dtype == torch.bfloat16
    assert (deepest - twin(image)[-1]).abs().max() < 0.1 * twin(image)[-1].abs().max()
