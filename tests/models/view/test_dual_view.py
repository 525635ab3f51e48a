"""The dual view transform: sampling weighted by lift-splat's depth refines lift-splat."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from slow_sampling import corners, read, sightings

from bev.errors import ConfigError
from bev.geometry import BevGrid, bev_transform
from bev.models import (
    DepthBins,
    DepthSupervisionConfig,
    DualViewTransformConfig,
    LiftSplatConfig,
    UniformDepthConfig,
)
from bev.models.view.dual_view import sighting_probability
from bev.models.view.image_sampling import Sightings

IMAGE = (64, 160)
GRID = BevGrid(x=(-16.0, 24.0, 4.0), y=(-12.0, 20.0, 4.0), z=(-4.0, 4.0, 8.0))
IDENTITY = torch.eye(4).expand(2, 4, 4)
LIFT = LiftSplatConfig(depth=DepthBins(1.0, 25.0, 3.0), channels=2)
CONFIG = DualViewTransformConfig(lift=LIFT, z=(-1.0, 3.0, 2.0))


def bin_shares(depth, centers):
    """Weight of each bin at a depth: a triangle around each bin's centre, as wide as the gaps."""
    gaps = np.diff(centers)
    before, after = np.append(gaps[0], gaps), np.append(gaps, gaps[-1])
    distance = depth - centers
    return np.clip(1 - np.where(distance < 0, -distance / before, distance / after), 0, None)


@pytest.mark.parametrize("feature_size", [(8, 20), (7, 19)])
def test_agreement_with_a_loop_over_points(cameras, feature_size):
    left, _, right = torch.linalg.svd(cameras.ego_from_camera[..., :3, :3].double())
    cameras = cameras.to(torch.float64)
    cameras.ego_from_camera[..., :3, :3] = left @ right
    turned = bev_transform(rotation=-0.4, scale=0.97, flip_x=True)
    bev_from_ego = torch.stack([torch.eye(4), turned]).double()
    view = CONFIG.build(2, 8, GRID)
    context = torch.randn(2, 3, 2, *feature_size, dtype=torch.float64)
    depth = torch.randn(2, 3, *feature_size, 8, dtype=torch.float64).softmax(dim=-1)
    found = view.look_back(context, depth, IMAGE, cameras, bev_from_ego)
    assert found.shape == (2, 2, 8, 10)
    centers = np.arange(2.5, 25, 3)  # middles of bins of 3 m from 1 m
    expected = torch.zeros_like(found)
    for sample, iz, iy, ix in np.ndindex(2, 2, 8, 10):
        point = [-16 + 4 * (ix + 0.5), -12 + 4 * (iy + 0.5), -1 + 2 * (iz + 0.5)]
        for camera, column, row, distance in sightings(
            point, cameras, sample, bev_from_ego[sample].numpy(), IMAGE, feature_size, 8
        ):
            shares = torch.tensor(bin_shares(distance, centers))
            probability = shares @ read(depth[sample, camera].movedim(-1, 0), column, row)
            value = read(context[sample, camera], column, row)
            expected[sample, :, iy, ix] += probability * value
    assert expected.count_nonzero() > 100
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)


def test_probability_between_bins_of_any_width():
    """Bins at 1, 2 and 4 m have probabilities 0.5, 0.3 and 0.2 in one feature cell."""
    depth = torch.tensor([0.5, 0.3, 0.2]).view(1, 1, 1, 1, 3)
    expected = {1.0: 0.5, 1.5: 0.4, 2.0: 0.3, 3.0: 0.25, 4.0: 0.2, 5.0: 0.1, 6.0: 0.0, 9.0: 0.0,
                0.5: 0.25, 0.1: 0.05}  # fmt: skip
    count = len(expected)
    sightings = Sightings(
        torch.zeros(count, 4, dtype=torch.long),
        torch.full((count, 4), 0.25),
        torch.tensor(list(expected)),
        torch.tensor([0, count]),
    )
    found = sighting_probability(depth, sightings, torch.tensor([1.0, 2.0, 4.0]))
    torch.testing.assert_close(found, torch.tensor(list(expected.values())))


def test_corners_are_bilinear():
    """A worked case of the slow version: a quarter of a cell right, half a cell down."""
    assert sorted(corners(2.25, 1.5)) == [
        (1, 2, 0.375), (1, 3, 0.125), (2, 2, 0.375), (2, 3, 0.125)
    ]  # fmt: skip


def test_a_closed_gate_gives_the_bev_of_lift_splat(cameras):
    view = CONFIG.build(4, 8, GRID).eval()
    features = torch.randn(2, 3, 4, 8, 20)
    plain = view.lift(features, IMAGE, cameras, IDENTITY)
    refined = view(features, IMAGE, cameras, IDENTITY)
    assert (refined.bev - plain.bev).abs().max() > 1e-3
    torch.testing.assert_close(refined.depth_logits, plain.depth_logits, atol=0, rtol=0)
    torch.nn.init.constant_(view.gate.cell[-2].bias, -1e4)
    closed = view(features, IMAGE, cameras, IDENTITY).bev
    torch.testing.assert_close(closed, plain.bev, atol=0, rtol=0)


def test_lift_and_look_back_both_train_features_and_depth(cameras):
    view = CONFIG.build(4, 8, GRID)
    # Lift-splat affects look_back by its depth alone: look_back has its own context.
    learned = list(view.lift.parameters())

    def reached(bev, features):
        """Absolute gradients of the features, and of the parameters of lift-splat."""
        weight = torch.randn(bev.shape, generator=torch.Generator().manual_seed(0))
        grads = torch.autograd.grad((bev * weight).sum(), (features, *learned), retain_graph=True)
        return grads[0].abs().sum(), sum(grad.abs().sum() for grad in grads[1:])

    features = torch.randn(2, 3, 4, 8, 20, requires_grad=True)
    lifted, logits = view.lift(features, IMAGE, cameras, IDENTITY)
    context = view.context(features.flatten(0, 1)).unflatten(0, (2, 3))
    back = view.look_back(context, logits.softmax(-1), IMAGE, cameras, IDENTITY)
    for bev in (lifted, back, view(features, IMAGE, cameras, IDENTITY).bev):
        assert all(value > 0 for value in reached(bev, features))


def test_gradients_of_look_back_equal_finite_differences(cameras):
    grid = BevGrid(x=(2.0, 14.0, 4.0), y=(-6.0, 2.0, 4.0))
    view = CONFIG.build(1, 16, grid)
    context = torch.randn(2, 3, 1, 4, 10, dtype=torch.float64, requires_grad=True)
    depth = torch.rand(2, 3, 4, 10, 8, dtype=torch.float64, requires_grad=True)
    cameras, bev_from_ego = cameras.to(torch.float64), IDENTITY.double()
    assert torch.autograd.gradcheck(
        lambda c, d: view.look_back(c, d, IMAGE, cameras, bev_from_ego),
        (context, depth),
        fast_mode=True,
    )


def test_a_mirrored_scene_gives_a_mirrored_bev(cameras):
    view = CONFIG.build(4, 8, GRID).eval()
    features = torch.randn(2, 3, 4, 8, 20)
    context, depth = torch.randn(2, 3, 2, 8, 20), torch.rand(2, 3, 8, 20, 8)
    plain = view.look_back(context, depth, IMAGE, cameras, IDENTITY)
    flip = torch.tensor([[-1.0, 0, 160], [0, 1, 0], [0, 0, 1]])
    flipped = replace(cameras, image_from_original=flip @ cameras.image_from_original)
    mirror = bev_transform(flip_y=True)
    mirror[1, 3] = 8.0  # about the grid's own middle, where rows reverse
    mirror = mirror.expand(2, 4, 4)
    mirrored = view.look_back(context.flip(-1), depth.flip(-2), IMAGE, flipped, mirror)
    torch.testing.assert_close(mirrored.flip(-2), plain, atol=1e-4, rtol=1e-4)
    assert view(features, IMAGE, cameras, IDENTITY).bev.shape == (2, 2, 8, 10)


def test_grids_of_several_cells_in_z_are_refined_too(cameras):
    grid = replace(GRID, z=(-4.0, 4.0, 4.0))
    view = CONFIG.build(4, 8, grid)
    assert view.channels == 4
    assert view(torch.randn(2, 3, 4, 8, 20), IMAGE, cameras, IDENTITY).bev.shape == (2, 4, 8, 10)


def test_the_detector_supervises_the_depth_of_the_lift(batch, small):
    model = replace(small, view=CONFIG, depth_supervision=DepthSupervisionConfig(1.0)).build()
    terms = model.loss(batch)
    assert terms["depth"] > 0
    sum(terms.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    with pytest.raises(ConfigError, match="its lift predicts none"):
        replace(
            small, view=DualViewTransformConfig(lift=replace(LIFT, depth_net=UniformDepthConfig()))
        ).build()
    with pytest.raises(ConfigError, match="view.lift.depth has only one"):
        replace(CONFIG, lift=replace(LIFT, depth=DepthBins(1.0, 25.0, 24.0)))
