"""Voxel pooling compared with a slow version, its gradients, and faults of published code."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from bev.geometry import BevGrid
from bev.lab.benchmark.timing import peak_bytes
from bev.ops import VoxelPlan, voxel_pool
from bev.ops.stock import gathered_dots, sampled_dots

GRID = BevGrid(x=(-4.0, 8.0, 1.0), y=(-3.0, 3.5, 0.5), z=(-2.0, 2.0, 2.0))
DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


@pytest.fixture(params=DEVICES, scope="module", autouse=True)
def device(request):
    """The default device of tensors, on which they are pooled."""
    with torch.device(request.param):
        yield torch.device(request.param)


def slow_pool(depth, context, points, grid):
    """Voxel pooling one point at a time, in double precision, on the CPU."""
    depth, context, points = depth.cpu(), context.cpu(), points.cpu()
    planes, rows, columns = grid.shape
    batch, cameras, bins, height, width = depth.shape
    out = context.new_zeros(batch, planes, context.shape[2], rows, columns, dtype=torch.float64)
    for b, n, d, h, w in torch.cartesian_prod(
        *(torch.arange(k) for k in (batch, cameras, bins, height, width))
    ).tolist():
        point = points[b, n, d, h, w].tolist()
        if not all(math.isfinite(v) for v in point):
            continue
        cell = [
            math.floor((v - axis[0]) / axis[2])
            for v, axis in zip(point, (grid.x, grid.y, grid.z), strict=True)
        ]
        if all(0 <= c < size for c, size in zip(cell, (columns, rows, planes), strict=True)):
            ix, iy, iz = cell
            out[b, iz, :, iy, ix] += depth[b, n, d, h, w].double() * context[b, n, :, h, w].double()
    return out.flatten(1, 2)


def random_case(seed, shape, channels, spread=6.0, dtype=torch.float32):
    """Random points, depth and context, with the same values on every device."""
    batch, cameras, bins, height, width = shape
    with torch.device("cpu"):
        generator = torch.Generator().manual_seed(seed)
        points = spread * torch.randn(*shape, 3, generator=generator)
        depth = torch.rand(*shape, generator=generator, dtype=dtype)
        rows = batch, cameras, channels, height, width
        context = torch.randn(rows, generator=generator, dtype=dtype)
    return tuple(t.to(torch.get_default_device()) for t in (points, depth, context))


@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(*(st.integers(1, k) for k in (3, 2, 4, 3, 4))),
    channels=st.sampled_from([1, 3, 8]),
    spread=st.sampled_from([0.1, 3.0, 6.0, 1000.0]),
)
@settings(max_examples=40, deadline=None)
def test_agrees_with_a_loop(seed, shape, channels, spread):
    points, depth, context = random_case(seed, shape, channels, spread)
    pooled = voxel_pool(depth, context, VoxelPlan.from_points(points, GRID))
    expected = slow_pool(depth, context, points, GRID)
    torch.testing.assert_close(pooled.double().cpu(), expected, rtol=1e-5, atol=1e-5)


def test_gradients_equal_finite_differences():
    points, depth, context = random_case(3, (2, 2, 3, 2, 3), 4, 3.0, torch.float64)
    plan = VoxelPlan.from_points(points, GRID)
    depth.requires_grad_()
    context.requires_grad_()
    assert torch.autograd.gradcheck(lambda d, c: voxel_pool(d, c, plan), (depth, context))


def test_depth_gradients_do_not_need_sparse_matrices():
    """Devices without sparse matrices gather rows, in several chunks."""
    points, depth, context = random_case(6, (1, 6, 30, 16, 22), 3, 2.0)
    plan = VoxelPlan.from_points(points, GRID)
    inside = int(plan.pixel_start[-1])
    rows = context.movedim(2, -1).reshape(-1, 3)
    grad = torch.linspace(-1, 1, 3 * (len(plan.cell_start) - 1)).view(-1, 3)
    arguments = (rows, grad, plan.cell_by_pixel[:inside], plan.pixel_start)
    assert inside > 2**15
    torch.testing.assert_close(gathered_dots(*arguments), sampled_dots(*arguments))


def test_more_points_than_pixels_times_cells():
    one = BevGrid((0.0, 1.0, 1.0), (0.0, 1.0, 1.0), (0.0, 1.0, 1.0))
    plan = VoxelPlan.from_points(torch.full((1, 1, 5, 1, 1, 3), 0.5), one)
    depth = torch.rand(1, 1, 5, 1, 1, dtype=torch.float64, requires_grad=True)
    context = torch.rand(1, 1, 2, 1, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d, c: voxel_pool(d, c, plan), (depth, context))


def test_a_second_derivative_is_refused():
    points, depth, context = random_case(3, (1, 1, 2, 2, 2), 2, 1.0, torch.float64)
    depth.requires_grad_()
    pooled = voxel_pool(depth, context, VoxelPlan.from_points(points, GRID))
    (gradient,) = torch.autograd.grad(pooled.square().sum(), depth, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiated once only"):
        gradient.sum().backward()


def test_the_cell_below_the_range_does_not_fold_into_the_first():
    # A cast to int would take -0.5 to 0; floor takes it to -1, outside.
    points = torch.tensor([[-4.5, 0.2, 0.5], [-3.5, 0.2, 0.5], [-3.5, 0.2, -2.5]])
    points = points.view(1, 1, 3, 1, 1, 3)
    context = torch.ones(1, 1, 1, 1, 1)
    pooled = voxel_pool(torch.ones(1, 1, 3, 1, 1), context, VoxelPlan.from_points(points, GRID))
    assert pooled.sum() == 1
    assert pooled[0, 1, 6, 0] == 1  # z cell 1, y = 0.2 -> row 6, x = -3.5 -> column 0


def test_no_points_inside_give_zeros_and_zero_gradients():
    points = torch.full((1, 2, 3, 2, 2, 3), torch.nan)
    depth = torch.rand(1, 2, 3, 2, 2, requires_grad=True)
    context = torch.randn(1, 2, 5, 2, 2, requires_grad=True)
    pooled = voxel_pool(depth, context, VoxelPlan.from_points(points, GRID))
    pooled.sum().backward()
    assert pooled.shape == (1, 10, 13, 12)
    assert not pooled.any() and not depth.grad.any() and not context.grad.any()


def test_the_same_inputs_give_the_same_bits():
    points, depth, context = random_case(5, (2, 3, 8, 6, 9), 16)
    depth.requires_grad_()
    context.requires_grad_()
    results = set()
    for _ in range(20):
        pooled = voxel_pool(depth, context, VoxelPlan.from_points(points, GRID))
        gradients = torch.autograd.grad(pooled.square().sum(), (depth, context))
        results.add(tuple(t.detach().cpu().numpy().tobytes() for t in (pooled, *gradients)))
    assert len(results) == 1


def test_no_tensor_has_points_times_channels_elements(device):
    """Peak extra memory of both passes stays within three times inputs plus outputs."""
    points, depth, context = random_case(5, (1, 6, 40, 8, 22), 64)
    plan = VoxelPlan.from_points(points, GRID)
    inputs = [depth.requires_grad_(), context.requires_grad_()]
    grad = torch.ones(1, 128, 13, 12)
    peak = peak_bytes(lambda: torch.autograd.grad(voxel_pool(*inputs, plan), inputs, grad), device)
    assert 0 < peak < 3 * sum(t.nbytes for t in (*inputs, grad)) < depth.numel() * 64 * 4 / 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_results_have_one_rounding_error(dtype):
    points, depth, context = random_case(2, (1, 2, 8, 6, 9), 16)
    plan = VoxelPlan.from_points(points, GRID)
    halves = [t.to(dtype).requires_grad_() for t in (depth, context)]
    exact = [t.detach().double().requires_grad_() for t in halves]
    pooled, reference = voxel_pool(*halves, plan), voxel_pool(*exact, plan)
    grad = torch.linspace(-2, 2, pooled.numel()).view(pooled.shape).to(dtype)
    found = (pooled, *torch.autograd.grad(pooled, halves, grad))
    expected = (reference, *torch.autograd.grad(reference, exact, grad.double()))
    step = torch.finfo(dtype).eps
    for ours, true in zip(found, expected, strict=True):
        assert ours.dtype == dtype
        # One rounding of the result; the sums themselves are far more exact.
        bound = 0.51 * step * true.abs() + 1e-5
        assert ((ours.double() - true).abs() <= bound).all()


@pytest.mark.parametrize("layout", ["contiguous", "channels last", "a slice"])
def test_the_layout_in_memory_does_not_matter(layout):
    points, depth, context = random_case(4, (2, 2, 4, 3, 5), 6)
    expected = voxel_pool(depth, context, VoxelPlan.from_points(points, GRID))
    if layout != "contiguous":
        rows = torch.cat([depth, context], dim=2).movedim(2, -1).contiguous().movedim(-1, 2)
        depth, context = rows.split([4, 6], dim=2)
    if layout == "channels last":
        depth, context = (t.movedim(2, -1).contiguous().movedim(-1, 2) for t in (depth, context))
    pooled = voxel_pool(depth, context, VoxelPlan.from_points(points, GRID))
    assert torch.equal(pooled, expected)
    assert pooled.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(1, 1, 4, 3, 5), (2, 2, 4, 3, 5)])
@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (0, 1, 3, 4, 2), (2, 0, 1, 3, 4)])
def test_embedding_bag_receives_contiguous_channels(monkeypatch, shape, order):
    """``embedding_bag`` is tens of times slower otherwise; with one camera, rows are a view.

    The case is in float64, for which every device uses ``embedding_bag``.
    """
    points, depth, context = random_case(4, shape, 6, dtype=torch.float64)
    back = [order.index(k) for k in range(5)]
    depth, context = (t.permute(order).contiguous().permute(back) for t in (depth, context))
    strides = []

    def spy(index, table, *args, **kwargs):
        strides.append(table.stride(1))
        return embedding_bag(index, table, *args, **kwargs)

    embedding_bag = torch.nn.functional.embedding_bag
    monkeypatch.setattr(torch.nn.functional, "embedding_bag", spy)
    leaves = depth.requires_grad_(), context.requires_grad_()
    pooled = voxel_pool(*leaves, VoxelPlan.from_points(points, GRID))
    grad = torch.ones_like(pooled, memory_format=torch.contiguous_format)
    torch.autograd.grad(pooled, leaves, grad)
    assert strides == [1, 1]


def test_half_precision_is_summed_in_float32():
    # 4096 ones in one cell: a bfloat16 sum would stop growing at 256.
    points = torch.zeros(1, 1, 4096, 1, 1, 3)
    depth = torch.ones(1, 1, 4096, 1, 1, dtype=torch.bfloat16)
    context = torch.ones(1, 1, 2, 1, 1, dtype=torch.bfloat16)
    pooled = voxel_pool(depth, context, VoxelPlan.from_points(points, GRID))
    assert pooled.dtype == torch.bfloat16
    assert pooled.max() == 4096


def test_shapes_that_do_not_fit_the_plan_are_refused():
    points, depth, context = random_case(1, (1, 1, 2, 3, 4), 2)
    plan = VoxelPlan.from_points(points, GRID)
    with pytest.raises(ValueError, match=r"\(1, 1, 3, 3, 4\)"):
        voxel_pool(torch.rand(1, 1, 3, 3, 4), context, plan)


def test_integers_and_tensors_on_other_devices_are_refused():
    points, depth, context = random_case(1, (1, 1, 2, 3, 4), 2)
    plan = VoxelPlan.from_points(points, GRID)
    with pytest.raises((ValueError, TypeCheckError), match="torch.int64|Float"):
        voxel_pool(depth.long(), context, plan)
    with pytest.raises(ValueError, match=r"the plan on meta; move them to one device"):
        voxel_pool(depth, context, plan.to("meta"))
