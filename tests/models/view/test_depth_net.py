"""Depth nets: outputs, camera parameters, and gradients of every part."""

from dataclasses import replace

import pytest
import torch

from bev.data.settings import DataConfig
from bev.errors import ConfigError
from bev.evaluation.depth import DepthErrors, DepthEvaluator
from bev.geometry import BevGrid, bev_transform, feature_pixels
from bev.models import (
    CameraAwareDepthNetConfig,
    ConvDepthNetConfig,
    DepthBins,
    DepthSupervisionConfig,
    LiftSplatConfig,
    UniformDepthConfig,
)
from bev.models.heads.depth import depth_loss, nearest_depth
from bev.models.view.camera_aware import PARAMETERS, camera_parameters
from bev.models.view.lift_splat import frustum_points
from bev.ops import VoxelPlan, voxel_pool

IMAGE = (64, 160)
GRID = BevGrid(x=(-16.0, 24.0, 1.0), y=(-12.0, 20.0, 1.0), z=(-4.0, 4.0, 8.0))
BINS = DepthBins(1.0, 25.0, 2.0)
EYE = torch.eye(4).expand(2, 4, 4)
AWARE = CameraAwareDepthNetConfig(width=8, blocks=1, aspp=False)
NETS = {
    "conv": ConvDepthNetConfig(),
    "hidden": ConvDepthNetConfig(hidden=8),
    "uniform": UniformDepthConfig(hidden=8),
    "aware": AWARE,
    "aware, all": replace(AWARE, aspp=True, deformable=True, batch_norm=True),
    "aware, narrow pyramid": replace(AWARE, aspp=True, aspp_width=4),
    "aware, published": replace(AWARE, batch_norm=True, parameters="published"),
}


def features(seed=0):
    return torch.randn(2, 3, 6, 8, 20, generator=torch.Generator().manual_seed(seed))


def view_of(net, **changes):
    config = LiftSplatConfig(depth=BINS, depth_net=net, channels=4)
    torch.manual_seed(0)
    return replace(config, **changes).build(6, 8, GRID)


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
@pytest.mark.parametrize("ray_features", [False, True])
def test_every_net_returns_logits_and_context_and_learns_in_all_parts(net, ray_features, cameras):
    view = view_of(net, ray_features=ray_features)
    inputs = features().requires_grad_()
    lifted = view(inputs, IMAGE, cameras, EYE)
    assert lifted.bev.shape == (2, 4, 32, 40)
    loss = lifted.bev.square().sum()
    if net.predicts_depth:
        assert lifted.depth_logits.shape == (2, 3, 8, 20, 12)
        loss = loss + lifted.depth_logits.square().sum()
    else:
        assert lifted.depth_logits is None
    loss.backward()
    for name, parameter in view.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
    assert inputs.grad.any()


@pytest.mark.parametrize("branch", ["depth", "context"])
def test_each_branch_reaches_only_its_own_gate(branch, cameras):
    net = AWARE.build(6, BINS.bins, 4)
    out = net(features(), IMAGE, cameras, EYE)
    (out.logits if branch == "depth" else out.context).square().sum().backward()
    other = {"depth": "context", "context": "depth"}[branch]
    assert all(p.grad.any() for p in getattr(net, f"{branch}_gate").parameters())
    assert all(p.grad is None for p in getattr(net, f"{other}_gate").parameters())
    assert net.reduce[0].weight.grad.any()


@pytest.mark.parametrize("net", [AWARE, NETS["aware, all"]])
def test_camera_parameters_affect_only_the_pixels_of_their_camera(net, cameras):
    net = net.build(6, BINS.bins, 4).eval()
    before = net(features(), IMAGE, cameras, EYE)
    intrinsics = cameras.intrinsics.clone()
    intrinsics[1, 2, 0, 0] *= 1.5
    poses = cameras.ego_from_camera.clone()
    poses[0, 1, 2, 3] += 1.0  # higher
    changed = net(features(), IMAGE, replace(cameras, intrinsics=intrinsics,
                                             ego_from_camera=poses), EYE)  # fmt: skip
    for ours, theirs in zip(changed, before, strict=True):
        differs = (ours - theirs).abs().amax(dim=(2, 3, 4)) > 0
        expected = torch.zeros(2, 3, dtype=torch.bool)
        expected[1, 2] = expected[0, 1] = True
        assert torch.equal(differs, expected)


def test_worked_camera_parameters(cameras):
    bev = bev_transform(rotation=0.3, flip_y=True).expand(2, 4, 4).clone()
    bev[:, :3, 3] = 7.0  # ignored
    numbers = camera_parameters(IMAGE, cameras, bev)
    assert numbers.shape == (2, 3, PARAMETERS)
    # f = 80, centre (80, 32), 160 pixels wide; images are not transformed.
    image = torch.tensor([0.5, 0, 0.5, 0, 0.5, 0.2])
    pose = torch.tensor([0.0, 0, 1, 0.5, -1, 0, 0, 0.2, 0, -1, 0, 1.5])
    plane = bev[0, :2, :2].flatten()
    torch.testing.assert_close(
        numbers[0, 0], torch.cat([image, pose, plane, torch.ones(1)]), atol=1e-6, rtol=0
    )


def test_camera_parameters_are_those_of_the_image_that_the_network_sees(cameras):
    """A file of half the size, enlarged twice as much, gives the same parameters."""
    half = torch.tensor([0.5, 0.5, 1.0]).diag()
    halved = replace(
        cameras,
        intrinsics=half @ cameras.intrinsics,
        image_from_original=cameras.image_from_original @ half.inverse(),
    )
    ours = camera_parameters(IMAGE, halved, EYE)
    torch.testing.assert_close(ours, camera_parameters(IMAGE, cameras, EYE))
    flip = torch.tensor([[-1.0, 0, 160], [0, 1, 0], [0, 0, 1]])
    flipped = replace(cameras, image_from_original=flip @ cameras.image_from_original)
    assert not torch.equal(camera_parameters(IMAGE, flipped, EYE), ours)


def test_gates_are_float32_under_autocast(cameras):
    """Focal lengths that are equal in bfloat16 give different gates."""
    net = AWARE.build(6, BINS.bins, 4).eval()
    seen = []
    net.depth_gate.register_forward_hook(lambda *call: seen.append(call[2]))
    longer = replace(cameras, intrinsics=cameras.intrinsics * torch.tensor([1.001, 1, 1])[:, None])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        net(features(), IMAGE, cameras, EYE)
        net(features(), IMAGE, longer, EYE)
    exact = net.depth_gate(camera_parameters(IMAGE, cameras, EYE).flatten(0, 1))
    assert seen[0].dtype == torch.float32
    assert torch.equal(seen[0], exact) and not torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("frustum", ["centers", "corners"])
def test_uniform_depth_is_the_context_spread_evenly(frustum, cameras):
    view = view_of(UniformDepthConfig(), frustum=frustum)
    inputs = features()
    context = view.depth_net(inputs, IMAGE, cameras, EYE).context
    pixels = feature_pixels(IMAGE, (8, 20), 8, corners=frustum == "corners")
    depths = BINS.centers() if frustum == "centers" else BINS.edges()[:-1]
    points = frustum_points(pixels, depths, cameras, EYE)
    depth = torch.full((2, 3, 12, 8, 20), 1 / 12)
    expected = voxel_pool(depth, context, VoxelPlan.from_points(points, GRID))
    assert expected.any()
    torch.testing.assert_close(view(inputs, IMAGE, cameras, EYE).bev, expected)


@pytest.mark.parametrize("spacing", ["uniform", "log", "linear"])
@pytest.mark.parametrize("kind", ["bce", "ce"])
@pytest.mark.parametrize("net", [ConvDepthNetConfig(hidden=16), AWARE])
def test_supervision_lowers_the_depth_loss_of_one_batch(net, kind, spacing, batch):
    bins = replace(BINS, spacing=spacing)
    torch.manual_seed(0)
    net = net.build(6, bins.bins, 4)
    nearest = nearest_depth(batch.lidar, batch.views.cameras, IMAGE, (8, 20), 8)
    inputs = torch.randn(2, 3, 6, 8, 20)
    inputs[:, :, 0] = nearest.clamp(max=25).log()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        logits = net(inputs, IMAGE, batch.views.cameras, batch.bev_from_ego).logits
        loss = depth_loss(logits, nearest, bins, kind)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_invalid_settings_are_named(small):
    with pytest.raises(ConfigError, match=r"depth_supervision.weight = 1.0 .* predicts none"):
        replace(
            small,
            depth_supervision=DepthSupervisionConfig(1.0),
            view=replace(small.view, depth_net=UniformDepthConfig()),
        )
    with pytest.raises(ConfigError, match="multiple of 4"):
        CameraAwareDepthNetConfig(width=30, deformable=True)
    with pytest.raises(ConfigError, match="width is 0; set it to at least 1"):
        CameraAwareDepthNetConfig(width=0)


@pytest.mark.parametrize("net", [NETS["uniform"], NETS["aware, all"]])
def test_a_detector_with_the_depth_net_trains_and_detects(net, small, batch):
    weight = 1.0 if net.predicts_depth else 0.0
    config = replace(
        small,
        depth_supervision=DepthSupervisionConfig(weight),
        view=replace(small.view, depth_net=net),
    )
    model = config.build()
    terms = model.loss(batch)
    assert ("depth" in terms) == net.predicts_depth
    sum(terms.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    boxes, results, output = model.eval().predict(batch)
    assert (output.features.depth_logits is not None) == net.predicts_depth
    assert [len(b) for b in boxes] == [len(b) for b in model.detect(batch)]

    def errors(batch):
        name = "depth_supervision"
        evaluator = DepthEvaluator(config.depth_supervision, name, config, DataConfig())
        evaluator.update(results[name], batch)
        return evaluator.errors

    assert (errors(batch).cells > 0) == net.predicts_depth
    blind = replace(batch, lidar=[points[:0] for points in batch.lidar])
    assert errors(blind) == DepthErrors()


def test_the_branches_of_the_pyramid_may_be_narrower():
    """BEVDet's dev2.1: 512 channels, branches of 96, joined by one convolution."""
    net = replace(AWARE, aspp=True, aspp_width=3).build(6, 12, 4)
    pyramid = net.depth[1]
    kernels = [tuple(m.weight.shape[:2]) for m in pyramid.modules() if hasattr(m, "kernel_size")]
    assert kernels == [(3, 8)] * 5 + [(8, 15)]
    assert pyramid.project[1].num_features == 8
    with pytest.raises(ConfigError, match="aspp_width is -1"):
        replace(AWARE, aspp_width=-1)
