"""Radial and tangential distortion: OpenCV's projection, its inverse, and its field of view."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from bev.errors import ConfigError
from bev.geometry import RadialTangential, stack_lenses
from bev.geometry.radial_tangential import rising_radius

# Lenses of real cameras: a webcam, a wide angle, and a rational model of a robot's camera.
LENSES = {
    "four": (-0.28, 0.07, 0.0007, -0.0003),
    "five": (-0.35, 0.15, 0.001, 0.0005, -0.03),
    "eight": (0.5, -0.1, 0.0002, 0.0001, -0.01, 0.86, 0.05, -0.02),
}
small = st.floats(-0.02, 0.02)


def points(coordinates) -> torch.Tensor:
    return torch.tensor([[*place, 1.0] for place in coordinates], dtype=torch.float64)


def test_one_point_by_hand():
    """At (0.5, 0): r^2 = 0.25, radial = 1 - 0.2 * 0.25 = 0.95; p2 adds 0.01 * 3 * 0.25."""
    lens = RadialTangential.make((-0.2, 0.0, 0.0, 0.01))
    plane, depth = lens.project(torch.tensor([[1.0, 0.0, 2.0]], dtype=torch.float64))
    assert plane[0].tolist() == pytest.approx([0.5 * 0.95 + 0.0075, 0.0, 1.0], abs=1e-15)
    assert depth.tolist() == [2.0]


@pytest.mark.parametrize("name", LENSES)
def test_projection_is_that_of_opencv(name):
    grid = np.stack(np.meshgrid(np.linspace(-0.6, 0.6, 9), np.linspace(-0.5, 0.5, 7)), axis=-1)
    rays = np.dstack([grid, np.ones(grid.shape[:2])]).reshape(-1, 3) * 3.0
    expected, _ = cv2.projectPoints(
        rays, np.zeros(3), np.zeros(3), np.eye(3), np.array(LENSES[name])
    )
    lens = RadialTangential.make(LENSES[name])
    plane, depth = lens.project(torch.from_numpy(rays))
    np.testing.assert_allclose(plane[:, :2], expected[:, 0], atol=1e-12)
    assert (depth == 3).all()


@given(
    st.tuples(st.floats(-0.35, 0.3), st.floats(-0.1, 0.1), small, small, small),
    st.floats(0, 0.97),
    st.floats(-math.pi, math.pi),
)
def test_distortion_and_its_removal_cancel_inside_the_field_of_view(numbers, share, angle):
    lens = RadialTangential.make(numbers)
    radius = share * min(lens.max_radius.item(), 1.2)
    x, y = radius * math.cos(angle), radius * math.sin(angle)
    # Strong tangential terms fold the plane before the radial part does.
    k1, k2, p1, p2, k3 = numbers
    square = radius**2
    slope = 1 + 3 * k1 * square + 5 * k2 * square**2 + 7 * k3 * square**3
    assume(slope > 6 * math.hypot(p1, p2) * radius + 0.02)
    ray = points([(x, y)])
    plane, depth = lens.project(ray)
    back = lens.unproject(plane)
    torch.testing.assert_close(back, ray, rtol=0, atol=1e-9)
    assert depth.item() == 1


def test_what_the_lens_does_not_see_has_no_depth_and_no_ray():
    """r - 0.3 r^3 stops rising at r = 1 / sqrt(0.9) = 1.054, where it is 0.703."""
    lens = RadialTangential.make((-0.3, 0.0, 0.0, 0.0))
    assert lens.max_radius.item() == pytest.approx(0.999 / math.sqrt(0.9))
    _, depth = lens.project(points([(1.0, 0.0), (1.1, 0.0), (5.0, 5.0)]))
    assert (depth > 0).tolist() == [True, False, False]
    _, behind = lens.project(torch.tensor([[0.0, 0.0, -1.0]], dtype=torch.float64))
    assert behind.item() <= 0
    rays = lens.unproject(points([(0.70, 0.0), (0.71, 0.0)]))
    assert rays.isfinite().all(dim=1).tolist() == [True, False]


def test_the_field_of_view_ends_where_the_radial_part_turns():
    """A coefficient of almost nothing once hid the turn of the others."""
    assert rising_radius((-0.25, 0, 0, 0, 3.6e-211, 0, 0, 0)) == pytest.approx(math.sqrt(4 / 3))
    assert rising_radius((0.1, 0, 0, 0, 0, 0, 0, 0)) == math.inf
    # 1 / (1 - r^2 / 4) has a pole at 2, before which it rises.
    assert rising_radius((0, 0, 0, 0, 0, -0.25, 0, 0)) == pytest.approx(2)


def test_lenses_are_batched_moved_and_differentiable():
    lenses = [RadialTangential.make(LENSES[name]) for name in LENSES]
    batch = stack_lenses(lenses).to(torch.float32)
    plane = torch.tensor([[[0.2, -0.1, 1.0]]]).expand(3, 1, 3).clone().requires_grad_()
    rays = batch.unproject(plane)
    for one, expected in zip(rays, lenses, strict=True):
        found = expected.unproject(points([(0.2, -0.1)]))
        torch.testing.assert_close(one.double(), found, rtol=0, atol=1e-5)
    rays.sum().backward()
    assert plane.grad is not None and plane.grad.isfinite().all()


def test_gradients_of_the_inverse_are_those_of_finite_differences():
    lens = RadialTangential.make(LENSES["five"])
    place = points([(0.3, -0.2)]).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: lens.unproject(p)[:, :2], place, atol=1e-5)


def test_coefficients_that_are_not_modelled_are_refused():
    assert RadialTangential.make((*LENSES["eight"], 0, 0, 0, 0)).coefficients.shape == (8,)
    for numbers in ((0.1,) * 3, (0.1,) * 6, (math.nan,) * 4):
        with pytest.raises(ConfigError, match="needs 4, 5 or 8 finite coefficients"):
            RadialTangential.make(numbers)
    with pytest.raises(ConfigError, match="thin-prism"):
        RadialTangential.make((*LENSES["eight"], 0.1, 0, 0, 0))
