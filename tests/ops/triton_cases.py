"""The Triton kernels against a float64 loop; run by ``test_triton.py`` in Triton's interpreter.

On a machine with a GPU the same cases run compiled: ``pytest --noconftest`` of this file.
"""

import os
import sys

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bev.geometry import BevGrid
from bev.ops import VoxelPlan, triton_pool, voxel_pool
from bev.ops.cuda import compare

voxel_pool_module = sys.modules["bev.ops.voxel_pool"]  # the package's name is the function
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
pytestmark = pytest.mark.skipif(
    not INTERPRETED and not torch.cuda.is_available(), reason="needs TRITON_INTERPRET=1 or a GPU"
)
# Neither square nor centred; two cells in z.
GRID = BevGrid(x=(-4.0, 3.0, 1.0), y=(-2.0, 3.0, 1.0), z=(-2.0, 2.0, 2.0))


def loop(grad, depth, context, plan):
    """Result and both gradients, one point at a time, in float64."""
    grad, depth, context = (t.double().cpu() for t in (grad, depth, context))
    out = torch.zeros_like(grad)
    depth_grad, context_grad = torch.zeros_like(depth), torch.zeros_like(context)
    bins = len(depth) // len(context)
    for place in range(int(plan.pixel_start[-1])):
        point, cell = int(plan.point_by_pixel[place]), int(plan.cell_by_pixel[place])
        pixel = point // bins
        out[cell] += depth[point] * context[pixel]
        depth_grad[point] = grad[cell] @ context[pixel]
        context_grad[pixel] += depth[point] * grad[cell]
    return out, depth_grad, context_grad


@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.sampled_from([1, 3]), *(st.integers(1, k) for k in (2, 40, 2, 3))),
    channels=st.sampled_from([1, 3, 64, 80, 256, 300]),
    spread=st.sampled_from([0.0, 2.0, 1000.0]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
)
@example(seed=0, shape=(1, 1, 1, 1, 1), channels=80, spread=0.0, dtype=torch.float32)
@example(seed=0, shape=(3, 2, 40, 2, 3), channels=64, spread=0.0, dtype=torch.float32)
@example(seed=0, shape=(1, 2, 9, 2, 3), channels=3, spread=1e9, dtype=torch.bfloat16)
@settings(max_examples=int(os.environ.get("TRITON_EXAMPLES", "3")), deadline=None)
def test_kernels_agree_with_a_loop(seed, shape, channels, spread, dtype):
    generator = torch.Generator().manual_seed(seed)
    batch, cameras, bins, height, width = shape
    # A spread of 0 puts every point of a sample into one cell.
    points = 0.5 + spread * torch.randn(*shape, 3, generator=generator)
    plan = VoxelPlan.from_points(points.to(DEVICE), GRID)
    pixels, cells = batch * cameras * height * width, len(plan.cell_start) - 1
    depth = torch.rand(pixels * bins, generator=generator).to(DEVICE)
    context = torch.randn(pixels, channels, generator=generator).to(DEVICE, dtype)
    grad = torch.randn(cells, channels, generator=generator).to(DEVICE, dtype)
    found = (
        triton_pool.forward(depth, context, plan.pattern),
        *triton_pool.backward(grad, depth, context, plan.pattern, [True, True]),
    )
    tolerance = 1e-4 if dtype == torch.float32 else torch.finfo(dtype).eps
    for ours, true in zip(found, loop(grad, depth, context, plan), strict=True):
        torch.testing.assert_close(ours.double().cpu(), true, rtol=tolerance, atol=2e-4)


def layouts():
    """Yield depth (1, 1, D, 2, 2) and context (1, 1, 7, 2, 2) in several memory layouts."""
    generator = torch.Generator().manual_seed(3)
    for bins in (1, 4):
        both = torch.rand(1, 1, 2, 2, bins + 7, generator=generator).movedim(-1, 2)
        yield both.split([bins, 7], dim=2)  # slices of one channels-last tensor
        yield [part.contiguous() for part in both.split([bins, 7], dim=2)]
    _, context = both.split([4, 7], dim=2)
    yield torch.full((1, 1, 1, 1, 1), 0.25).expand(1, 1, 4, 2, 2), context
    pairs = torch.rand(1, 1, 2, 2, 4, 2, generator=generator)
    yield pairs[..., 0].movedim(-1, 2), context


@pytest.mark.parametrize("number", range(6))
def test_the_operator_takes_any_layout(monkeypatch, number):
    depth, context = list(layouts())[number]
    points = torch.rand(*depth.shape, 3, generator=torch.Generator().manual_seed(1))
    plan = VoxelPlan.from_points(6 * points - 3, GRID)
    results = []
    for kernels, device in ((None, "cpu"), (triton_pool, DEVICE)):
        monkeypatch.setattr(voxel_pool_module, "triton_kernels", lambda *_, k=kernels: k)
        leaves = [t.detach().to(device).requires_grad_() for t in (depth, context)]
        pooled = voxel_pool(*leaves, plan.to(device))
        results.append((pooled, *torch.autograd.grad(pooled.square().sum(), leaves)))
    for stock, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours.cpu(), stock, rtol=1e-4, atol=1e-5)


def test_rows_may_be_part_of_a_wider_tensor():
    plan = VoxelPlan.from_points(torch.zeros(1, 1, 4, 2, 2, 3, device=DEVICE), GRID)
    wide = torch.randn(4, 30, device=DEVICE)
    depth, rows = torch.rand(16, device=DEVICE), wide[:, 10:17]
    pooled = triton_pool.forward(depth, rows, plan.pattern)
    again = triton_pool.forward(depth, rows.contiguous(), plan.pattern)
    assert torch.equal(pooled, again) and pooled.any()
    grad = torch.randn(len(pooled), 7, device=DEVICE)
    first, second = (
        triton_pool.backward(grad, depth, r, plan.pattern, [True, True])
        for r in (rows, rows.contiguous())
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_same_inputs_give_the_same_bits():
    generator = torch.Generator().manual_seed(0)
    points = 0.5 + 2 * torch.randn(1, 2, 40, 2, 3, 3, generator=generator)
    plan = VoxelPlan.from_points(points.to(DEVICE), GRID)
    shapes = (len(plan.cell_start) - 1, 80), (12 * 40,), (12, 80)
    grad, depth, context = (torch.randn(s, generator=generator).to(DEVICE) for s in shapes)
    results = set()
    for _ in range(20 if DEVICE == "cuda" else 2):
        pooled = triton_pool.forward(depth, context, plan.pattern)
        gradients = triton_pool.backward(grad, depth, context, plan.pattern, [True, True])
        results.add(tuple(t.cpu().numpy().tobytes() for t in (pooled, *gradients)))
    assert len(results) == 1


def test_sums_are_in_float32_whatever_the_default_type():
    plan = VoxelPlan.from_points(torch.zeros(1, 1, 4, 2, 2, 3, device=DEVICE), GRID)
    grad, depth, context = (
        t.to(DEVICE) for t in (torch.rand(70, 5), torch.rand(16), torch.rand(4, 5))
    )
    expected = triton_pool.backward(grad, depth, context, plan.pattern, [True, True])
    torch.set_default_dtype(torch.float16)
    try:
        found = triton_pool.backward(grad, depth, context, plan.pattern, [True, True])
        assert compare(triton_pool, DEVICE) is None
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(
        torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("needs", [[True, False], [False, True]])
def test_only_requested_gradients_are_computed(needs):
    plan = VoxelPlan.from_points(torch.zeros(1, 1, 4, 2, 2, 3, device=DEVICE), GRID)
    arguments = torch.rand(70, 5), torch.rand(16), torch.rand(4, 5)
    arguments = [t.to(DEVICE) for t in arguments]
    both = triton_pool.backward(*arguments, plan.pattern, [True, True])
    some = triton_pool.backward(*arguments, plan.pattern, needs)
    for needed, one, other in zip(needs, some, both, strict=True):
        assert torch.equal(one, other) if needed else one is None


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float32,
        pytest.param(torch.bfloat16, marks=pytest.mark.slow),
        pytest.param(torch.float16, marks=pytest.mark.slow),
    ],
)
def test_the_check_before_first_use_passes(dtype):
    assert compare(triton_pool, DEVICE, dtype) is None


def test_the_check_before_first_use_detects_a_fault():
    class Wrong:
        forward = staticmethod(triton_pool.forward)

        @staticmethod
        def backward(*arguments):
            depth_grad, context_grad = triton_pool.backward(*arguments)
            return depth_grad * 1.01, context_grad

    assert "depth gradient in torch.float32 differ" in compare(Wrong, DEVICE)
