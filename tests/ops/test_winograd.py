"""Winograd's algorithm computes convolutions, at every size and in every block."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from bev.models.winograd import WinogradConv2d, use_winograd
from bev.ops import winograd
from bev.ops.winograd import tiles_of, transformed_kernel, winograd_conv


def test_a_worked_tile():
    # A kernel that copies the pixel to the right, on an image of one tile.
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, 1, 2] = 1.0
    x = torch.arange(16.0).view(1, 1, 4, 4)
    found = winograd_conv(x, weight, torch.tensor([100.0]))
    expected = F.pad(x, (0, 1))[..., 1:] + 100
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@given(
    batch=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    size=st.tuples(st.integers(1, 19), st.integers(1, 19)),
    block=st.sampled_from([1, 500, 5000, 1 << 22]),
    last=st.booleans(),
    bias=st.booleans(),
)
def test_any_size_and_block(batch, channels, size, block, last, bias):
    x = torch.randn(batch, channels[0], *size)
    x = x.to(memory_format=torch.channels_last) if last else x
    weight = torch.randn(channels[1], channels[0], 3, 3)
    offset = torch.randn(channels[1]) if bias else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "_BLOCK", block)
        found = winograd_conv(x, weight, offset)
    torch.testing.assert_close(found, F.conv2d(x, weight, offset, padding=1), rtol=0, atol=1e-3)
    assert found.permute(0, 2, 3, 1).is_contiguous()


def test_rounding_is_a_few_times_that_of_the_direct_sum():
    x, weight = torch.randn(1, 256, 24, 24), torch.randn(128, 256, 3, 3)
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    errors = [
        (found.double() - exact).abs().max()
        for found in (winograd_conv(x, weight), F.conv2d(x, weight, padding=1))
    ]
    assert errors[0] < 10 * errors[1] and errors[0] < 2e-5 * exact.abs().max()


def direct(x, weight, bias):
    return F.conv2d(x, weight, bias, padding=1)


def test_the_operator_follows_the_rules_of_torch():
    weight = torch.randn(4, 3, 3, 3)
    arguments = (torch.randn(2, 3, 5, 9), weight, torch.randn(4), transformed_kernel(weight))
    torch.library.opcheck(torch.ops.bev.winograd_conv, arguments)


def layers(*made):
    module = nn.Sequential(*made).eval().requires_grad_(False)
    return module, use_winograd(module)


def test_suitable_convolutions_are_computed_so(monkeypatch):
    module, count = layers(nn.Conv2d(128, 320, 3, padding=1, bias=False))
    names = dict(module.state_dict())
    assert count == 1 and isinstance(module[0], WinogradConv2d) and set(names) == {"0.weight"}
    calls = []
    monkeypatch.setattr(
        "bev.models.winograd.winograd_conv", lambda *given: calls.append(1) or winograd_conv(*given)
    )
    large, small = torch.randn(5, 128, 16, 16), torch.randn(1, 128, 16, 16)
    assert (tiles_of(large.shape), tiles_of(small.shape)) == (80, 16)
    with torch.no_grad():
        for x in (large, small):
            expected = F.conv2d(x, module[0].weight, padding=1)
            torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-3)
        with torch.autocast("cpu", torch.bfloat16):
            assert module(large).dtype == torch.bfloat16
    assert len(calls) == 1
    kept = module[0]._kept[2]
    module(large)
    assert module[0]._kept[2] is kept  # the kernel is transformed once
    module[0].weight.mul_(2)
    torch.testing.assert_close(
        module(large), direct(large, module[0].weight, None), rtol=0, atol=2e-3
    )
    for _ in range(2):  # another tensor in place of the weight, which has not been changed either
        module.load_state_dict({"0.weight": torch.randn(320, 128, 3, 3)}, assign=True)
        expected = direct(large, module[0].weight, None)
        torch.testing.assert_close(module(large), expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("later", [torch.inference_mode, torch.no_grad])
def test_a_model_that_is_made_in_inference_mode(later):
    """Its tensors have no versions."""
    with torch.inference_mode():
        module, count = layers(nn.Conv2d(200, 200, 3, padding=1))
    x = torch.randn(1, 200, 36, 36)
    with later():
        for _ in range(2):
            expected = direct(x, module[0].weight, module[0].bias)
            torch.testing.assert_close(module(x), expected, rtol=0, atol=2e-3)
    assert count == 1 and module[0]._kept is not None


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(256, 256, 3),
        nn.Conv2d(256, 256, 3, 2, padding=1),
        nn.Conv2d(256, 256, 3, padding=2, dilation=2),
        nn.Conv2d(256, 256, 3, padding=1, groups=2),
        nn.Conv2d(256, 256, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(256, 256, 1),
        nn.Conv2d(127, 900, 3, padding=1),
        nn.Conv2d(128, 256, 3, padding=1),
        nn.utils.parametrizations.weight_norm(nn.Conv2d(256, 256, 3, padding=1)),
    ],
)
def test_other_convolutions_stay(conv):
    assert layers(conv)[1] == 0
