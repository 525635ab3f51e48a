"""The operator under torch.library: opcheck, compile, export, autocast.

Run by ``test_compile.py`` without the tests' run-time type checks, which cannot be traced.
"""

import pytest
import torch

from bev.geometry import BevGrid, Cameras
from bev.models import (
    CameraAwareDepthNetConfig,
    ConvDepthNetConfig,
    DepthBins,
)
from bev.models.view.lift_splat import LiftSplat, LiftSplatConfig
from bev.ops import VoxelPlan, voxel_pool

GRID = BevGrid(x=(-4.0, 8.0, 1.0), y=(-3.0, 3.5, 0.5), z=(-2.0, 2.0, 2.0))
on_every_device = pytest.mark.parametrize(
    "device", ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
)


def case(dtype=torch.float32, device="cpu"):
    generator = torch.Generator().manual_seed(7)
    points = 4 * torch.randn(2, 2, 5, 3, 4, 3, generator=generator)
    depth = torch.rand(2, 2, 5, 3, 4, generator=generator, dtype=dtype)
    context = torch.randn(2, 2, 6, 3, 4, generator=generator)
    leaves = (t.to(device, dtype).requires_grad_() for t in (depth, context))
    return points.to(device), *leaves


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@on_every_device
@pytest.mark.slow
def test_opcheck(device, dtype):
    points, depth, context = case(dtype, device)
    plan = VoxelPlan.from_points(points, GRID)
    torch.library.opcheck(
        torch.ops.bev.voxel_pool.default, (depth, context, *plan.pattern, [2, 13, 12]),
        atol=1e-2, rtol=1e-2,
    )  # fmt: skip
    grad = torch.randn(2, 12, 13, 12, dtype=dtype, device=device)
    some = [[False, True], [True, False]] if dtype == torch.float32 else []
    for needs in ([True, True], *some):
        torch.library.opcheck(
            torch.ops.bev.voxel_pool_backward.default,
            (grad, depth.detach(), context.detach(), plan.pattern, needs),
        )


@on_every_device
@pytest.mark.slow
def test_opcheck_of_the_plan(device):
    axes = [*GRID.x, *GRID.y, *GRID.z]
    torch.library.opcheck(torch.ops.bev.voxel_plan.default, (case(device=device)[0], axes))


def gradients(function, *inputs):
    pooled = function(*inputs)
    return (pooled, *torch.autograd.grad(pooled.square().sum(), inputs))


@on_every_device
def test_the_operator_compiles_without_graph_breaks(device):
    points, depth, context = case(device=device)

    def pool(depth, context):
        plan = VoxelPlan.from_points(points, GRID)
        return voxel_pool(depth.softmax(dim=2), context * 2, plan).relu()

    compiled = torch.compile(pool, fullgraph=True, backend="aot_eager")
    for ours, eager in zip(
        gradients(compiled, depth, context), gradients(pool, depth, context), strict=True
    ):
        torch.testing.assert_close(ours, eager)


@on_every_device
def test_compile_takes_a_plan_as_an_argument(device):
    points, depth, context = case(device=device)
    compiled = torch.compile(voxel_pool, fullgraph=True, backend="aot_eager")
    for scale in (1.0, 0.5):
        plan = VoxelPlan.from_points(scale * points, GRID)
        torch.testing.assert_close(compiled(depth, context, plan), voxel_pool(depth, context, plan))


@on_every_device
def test_export_round_trip(tmp_path, device):
    points, depth, context = case(device=device)

    class Pool(torch.nn.Module):
        def forward(self, depth, context, plan):
            return voxel_pool(depth, context, plan)

    plan = VoxelPlan.from_points(points, GRID)
    program = torch.export.export(Pool(), (depth.detach(), context.detach(), plan))
    torch.export.save(program, tmp_path / "pool.pt2")
    with torch.serialization.safe_globals([VoxelPlan]):
        again = torch.export.load(tmp_path / "pool.pt2").module()
    torch.testing.assert_close(
        again(depth.detach(), context.detach(), plan), voxel_pool(depth, context, plan)
    )


@on_every_device
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_leaves_the_sums_in_float32(dtype, device):
    """Depth is float32, as in the model, and the context may be in half precision."""
    points, depth, _ = case(device=device)
    context = case(dtype, device)[2]
    plan = VoxelPlan.from_points(points, GRID)
    with torch.autocast(device, dtype=torch.bfloat16):
        mixed = gradients(lambda d, c: voxel_pool(d, c, plan), depth, context)
    for ours, exact in zip(
        mixed, gradients(lambda d, c: voxel_pool(d, c, plan), depth, context), strict=True
    ):
        assert torch.equal(ours, exact)


@pytest.mark.slow
@pytest.mark.parametrize(
    "depth_net", [ConvDepthNetConfig(), CameraAwareDepthNetConfig(8, blocks=1, aspp=False)]
)
def test_the_view_transform_compiles_without_graph_breaks(depth_net):
    config = LiftSplatConfig(
        depth=DepthBins(1.0, 9.0, 1.0), depth_net=depth_net, channels=3, ray_features=True
    )
    view = LiftSplat(config, 4, 8, GRID)
    # A camera looking along +x: its x, y and z point to -y, -z and +x.
    ego_from_camera = torch.tensor(
        [[0.0, 0, 1, 0.5], [-1, 0, 0, 0.2], [0, -1, 0, 1.5], [0, 0, 0, 1]]
    )
    intrinsics = torch.tensor([[80.0, 0, 80], [0, 80, 32], [0, 0, 1]])
    cameras = Cameras(
        *(m.expand(2, 3, *m.shape) for m in (intrinsics, ego_from_camera, torch.eye(3)))
    )
    arguments = (torch.randn(2, 3, 4, 8, 20), (64, 160), cameras, torch.eye(4).expand(2, 4, 4))
    compiled = torch.compile(view, fullgraph=True, backend="aot_eager")
    bev = view(*arguments).bev
    assert bev.any()
    torch.testing.assert_close(compiled(*arguments).bev, bev)
