"""Muon for kernels, AdamW for the rest: against a slow reference, timm, torch and by hand."""

import copy
import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bev.training.optimization.muon import MuonAdamW, is_matrix, orthogonalize
from bev.training.settings import OptimizerCall


def matrix(rows: int, columns: int, values: torch.Tensor) -> torch.Tensor:
    """A random matrix of these singular values."""
    left = torch.linalg.qr(torch.randn(rows, rows))[0][:, : len(values)]
    right = torch.linalg.qr(torch.randn(columns, columns))[0][:, : len(values)]
    return left * values @ right.mT


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_singular_values_become_one_and_their_vectors_stay(
    rows: int, columns: int, seed: int, scale: float
) -> None:
    torch.manual_seed(seed)
    values = torch.empty(min(rows, columns)).uniform_(0.1, 1)
    given_matrix = matrix(rows, columns, values)
    result = orthogonalize(scale * given_matrix)
    assert (torch.linalg.svdvals(result) - 1).abs().max() < 0.2
    left, _, right = torch.linalg.svd(given_matrix, full_matrices=False)
    core = left.mT @ result @ right.mT  # diagonal in the same vectors
    torch.testing.assert_close(core, core.diagonal().diag(), atol=1e-3, rtol=0)


def test_no_gradient_gives_no_update() -> None:
    assert not orthogonalize(torch.zeros(4, 6)).any()


@pytest.mark.parametrize("shape", [(8, 8), (16, 72), (72, 16)])
def test_newton_schulz_equals_timms_usual_form(shape: tuple[int, int]) -> None:
    from timm.optim.muon import _COEFFICIENTS, zeropower_via_newtonschulz

    given_matrix = torch.randn(shape)
    theirs = zeropower_via_newtonschulz(
        given_matrix, 5, _COEFFICIENTS["quintic"], dtype=torch.float32
    )
    torch.testing.assert_close(orthogonalize(given_matrix), theirs, atol=1e-4, rtol=1e-3)


def test_autocast_does_not_reach_the_sums() -> None:
    torch.manual_seed(0)
    flat = torch.randn(64, 8) @ torch.randn(8, 288)
    with torch.autocast("cpu", torch.bfloat16):
        within = orthogonalize(flat)
    assert torch.equal(within, orthogonalize(flat))


def test_one_step_by_hand() -> None:
    """A diagonal gradient: each entry moves by the rate, whatever its size was."""
    kernel = nn.Parameter(torch.zeros(4, 4))
    kernel.grad = torch.diag(torch.tensor([1.0, 2.0, -4.0, 8.0]))
    MuonAdamW([kernel], lr=0.5, weight_decay=0).step()
    expected = -0.5 * 0.2 * 4**0.5 * torch.tensor([1.0, 1.0, -1.0, 1.0]).diag()
    torch.testing.assert_close(kernel.detach(), expected, atol=0.05 * 0.2, rtol=0)


def reference(kernel: torch.Tensor, gradients: Sequence[torch.Tensor], group: dict) -> torch.Tensor:
    """Kernel after one step for each gradient, by the published sums in float64."""
    value, mean = kernel.double(), torch.zeros_like(kernel).double()
    beta, rate = group["momentum"], group["lr"]
    for gradient in gradients:
        mean = beta * mean + (1 - beta) * gradient.double()
        nesterov = beta * mean + (1 - beta) * gradient.double()
        update = orthogonalize(nesterov.flatten(1))
        value = (1 - rate * group["weight_decay"]) * value
        rows, columns = update.shape
        value = value - rate * 0.2 * math.sqrt(max(rows, columns)) * update.view_as(value)
    return value.float()


def test_steps_equal_the_published_sums_in_each_group() -> None:
    torch.manual_seed(0)
    shapes = [[(4, 6, 3, 3), (40, 4)], [(8, 8, 1, 1)]]
    groups = [
        {"params": [nn.Parameter(torch.randn(shape)) for shape in of_group], **settings}
        for of_group, settings in zip(
            shapes, ({"lr": 0.1}, {"lr": 0.3, "momentum": 0.5, "weight_decay": 0.2}), strict=True
        )
    ]
    optimizer = MuonAdamW(groups, lr=9.0, momentum=0.8, weight_decay=0.01)
    started = [[p.detach().clone() for p in group["params"]] for group in groups]
    gradients = [[[torch.randn_like(p) for p in g["params"]] for g in groups] for _ in range(3)]
    for turn in gradients:
        for group, of_group in zip(groups, turn, strict=True):
            for parameter, gradient in zip(group["params"], of_group, strict=True):
                parameter.grad = gradient.clone()
        optimizer.step()
    for number, group in enumerate(optimizer.param_groups):
        for place, parameter in enumerate(group["params"]):
            own = [turn[number][place] for turn in gradients]
            expected = reference(started[number][place], own, group)
            torch.testing.assert_close(parameter.detach(), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("shape", [(5,), (3, 40), (40, 3), (16, 1, 3, 3), (3, 4, 1, 1), ()])
def test_these_are_left_to_adamw(shape: tuple[int, ...]) -> None:
    assert not is_matrix(torch.zeros(shape))


def test_other_parameters_follow_adamw() -> None:
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(shape)) for shape in [(5,), (3, 40), (16, 1, 3, 3), ()]]
    theirs = [nn.Parameter(p.detach().clone()) for p in ours]
    kernel, frozen = nn.Parameter(torch.randn(8, 8)), nn.Parameter(torch.ones(8, 8))
    mixed = MuonAdamW([kernel, frozen, *ours], lr=1e-2, weight_decay=0.1)
    adamw = torch.optim.AdamW(theirs, lr=1e-2, betas=(0.9, 0.95), weight_decay=0.1)
    for _ in range(4):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        kernel.grad = torch.randn(8, 8)
        mixed.step()
        adamw.step()
        assert kernel.grad is not None
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)
    assert torch.equal(frozen, torch.ones(8, 8))  # without gradients


def test_a_step_calls_its_closure_and_its_hooks_once() -> None:
    torch.optim.AdamW([nn.Parameter(torch.zeros(2))])  # torch adds hooks to the class's step
    kernel, bias, calls = nn.Parameter(torch.zeros(4, 4)), nn.Parameter(torch.zeros(4)), []
    optimizer = MuonAdamW([kernel, bias], lr=0.1, weight_decay=0)
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))

    def closure() -> float:
        calls.append("loss")
        kernel.grad, bias.grad = torch.eye(4), torch.ones(4)
        return 3.0

    assert optimizer.step(closure) == 3.0
    assert calls == ["before", "loss", "after"]
    assert (kernel.diagonal() < 0).all() and (bias < 0).all()


def test_a_saved_state_continues_alike() -> None:
    def model() -> tuple[nn.Module, MuonAdamW]:
        torch.manual_seed(3)
        net = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1))
        return net, MuonAdamW(net.parameters(), lr=1e-2, momentum=0.8)

    def train(net: nn.Module, optimizer: MuonAdamW, seeds: range) -> None:
        for seed in seeds:
            torch.manual_seed(seed)
            optimizer.zero_grad()
            net(torch.randn(2, 4, 6, 6)).square().sum().backward()
            optimizer.step()

    whole, halves = model(), model()
    train(*whole, range(4))
    train(*halves, range(2))
    again = MuonAdamW(halves[0].parameters(), lr=1e-2)
    again.load_state_dict(halves[1].state_dict())
    train(halves[0], again, range(2, 4))
    for a, b in zip(whole[0].parameters(), halves[0].parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_command_line_knows_it() -> None:
    call = OptimizerCall.parse("MuonAdamW(momentum=0.9)")
    assert call.target is MuonAdamW and str(call) == "MuonAdamW(momentum=0.9)"


def test_a_state_of_adamw_is_continued() -> None:
    kernel = nn.Parameter(torch.ones(4, 4))
    adamw = torch.optim.AdamW([kernel], lr=0.1)
    kernel.grad = torch.ones(4, 4)
    adamw.step()
    muon = MuonAdamW([kernel], momentum=0.8)
    muon.load_state_dict(adamw.state_dict())
    copy.deepcopy(muon).add_param_group({"params": [nn.Parameter(torch.ones(3))]})
    muon.step()
    assert muon.param_groups[0]["momentum"] == 0.8 and kernel.isfinite().all()


@pytest.mark.parametrize("group", [{}, {"momentum": 7.0}])
def test_a_momentum_out_of_range_is_refused(group: dict) -> None:
    parameters = [{"params": [nn.Parameter(torch.zeros(4, 4))], **group}]
    with pytest.raises(ValueError, match=r"Invalid momentum: .*; it lies in \[0, 1\)"):
        MuonAdamW(parameters, momentum=0.9 if group else 1.5)
