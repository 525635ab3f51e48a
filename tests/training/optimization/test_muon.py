"""Muon for kernels, AdamW for the rest: against timm, torch, and singular values."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.optim.muon import zeropower_via_newtonschulz
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
def test_newton_schulz_equals_timms(shape: tuple[int, int]) -> None:
    given_matrix = torch.randn(shape)
    theirs = zeropower_via_newtonschulz(
        given_matrix, 5, list(OTHERS_COEFFICIENTS), dtype=torch.float32
    )
    torch.testing.assert_close(orthogonalize(given_matrix), theirs, atol=1e-5, rtol=1e-4)


# Written down from the source that muon.py names, once more.
OTHERS_COEFFICIENTS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


def test_one_step_by_hand() -> None:
    """A diagonal gradient: each entry moves by the rate, whatever its size was."""
    kernel = nn.Parameter(torch.zeros(4, 4))
    kernel.grad = torch.diag(torch.tensor([1.0, 2.0, -4.0, 8.0]))
    MuonAdamW([kernel], lr=0.5, weight_decay=0).step()
    expected = -0.5 * 0.2 * 4**0.5 * torch.tensor([1.0, 1.0, -1.0, 1.0]).diag()
    torch.testing.assert_close(kernel.detach(), expected, atol=0.05 * 0.2, rtol=0)


def test_weight_decay_and_momentum_of_kernels() -> None:
    kernel = nn.Parameter(torch.ones(4, 4, 3, 3))
    optimizer = MuonAdamW([kernel], lr=0.5, weight_decay=0.1, momentum=0.75)
    kernel.grad = torch.zeros_like(kernel)
    optimizer.step()
    torch.testing.assert_close(kernel.detach(), torch.full_like(kernel, 0.95))
    kernel.grad = torch.ones_like(kernel)
    optimizer.step()
    torch.testing.assert_close(
        optimizer.state[kernel]["momentum_buffer"], torch.full_like(kernel, 0.25)
    )


def test_other_parameters_follow_adamw() -> None:
    shapes = [(5,), (3, 40), (16, 1, 3, 3), ()]
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [nn.Parameter(p.detach().clone()) for p in ours]
    kernel = nn.Parameter(torch.randn(8, 8))
    assert is_matrix(kernel) and not any(map(is_matrix, ours))
    mixed = MuonAdamW([kernel, *ours], lr=1e-2, weight_decay=0.1)
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
    with pytest.raises(ValueError, match=r"Invalid momentum: 1\.5; it lies in \[0, 1\)"):
        MuonAdamW([nn.Parameter(torch.zeros(4, 4))], momentum=1.5)
