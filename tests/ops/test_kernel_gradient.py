"""Gradients of 3x3 convolutions by matrix products are those of torch."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from bev.models import kernel_gradient as conversion
from bev.models.kernel_gradient import TrainedConv2d, use_kernel_gradients
from bev.ops.kernel_gradient import conv3x3, kernel_gradient


def test_a_worked_gradient():
    """One pixel in the middle; the gradient of the output is 10 at the pixel to its left."""
    x, grad = torch.zeros(1, 1, 3, 4), torch.zeros(1, 1, 3, 4)
    x[0, 0, 1, 2], grad[0, 0, 1, 1] = 3.0, 10.0
    expected = torch.zeros(1, 1, 3, 3)
    expected[0, 0, 1, 2] = 30.0  # the kernel's place that reads one pixel to the right
    assert torch.equal(kernel_gradient(grad, x), expected)


@given(
    batch=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    last=st.booleans(),
    bias=st.booleans(),
)
def test_any_size_agrees_with_torch(batch, channels, size, last, bias):
    x = torch.randn(batch, channels[0], *size, dtype=torch.float64)
    x = x.to(memory_format=torch.channels_last) if last else x
    weight = torch.randn(channels[1], channels[0], 3, 3, dtype=torch.float64)
    inputs = [x, weight, *([torch.randn(channels[1], dtype=torch.float64)] if bias else [])]
    inputs = [tensor.requires_grad_() for tensor in inputs]
    ours, theirs = conv3x3(*inputs), F.conv2d(*inputs, padding=1)
    assert torch.equal(ours, theirs)
    grad = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, grad),
        torch.autograd.grad(theirs, inputs, grad),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_gradients_that_nobody_wants_are_not_computed(monkeypatch):
    x, weight = torch.randn(1, 2, 3, 3), torch.randn(4, 2, 3, 3)
    monkeypatch.setattr(
        "bev.ops.kernel_gradient.kernel_gradient", lambda *_: pytest.fail("computed")
    )
    conv3x3(x.requires_grad_(), weight).sum().backward()
    assert x.grad is not None and weight.grad is None


def test_wide_convolutions_of_a_module_are_replaced(monkeypatch):
    """With the same names, parameters and outputs; gradients agree up to rounding."""
    plain = nn.Sequential(
        nn.Conv2d(48, 96, 3, padding=1), nn.ReLU(), nn.Conv2d(96, 47, 3, padding=1),
        nn.Conv2d(47, 64, 1), nn.Conv2d(64, 64, 3, 2, padding=1),
    )  # fmt: skip
    ours = copy.deepcopy(plain)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert use_kernel_gradients(ours) == 0
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(conversion, "default_device", lambda: torch.device("cuda"))
    assert use_kernel_gradients(ours) == 0
    monkeypatch.setattr(conversion, "default_device", lambda: torch.device("cpu"))
    assert use_kernel_gradients(ours) == 1 and type(ours[0]) is TrainedConv2d
    assert list(ours.state_dict()) == list(plain.state_dict())
    x = torch.randn(2, 48, 6, 5)
    outputs = [module(x) for module in (plain, ours)]
    assert torch.equal(*outputs)
    for output in outputs:
        output.square().sum().backward()
    for a, b in zip(plain.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        assert ours[0](x).dtype == torch.bfloat16
