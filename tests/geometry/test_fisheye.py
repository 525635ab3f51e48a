"""OpenCV's fisheye model: agreement with OpenCV, round trips, gradients, invalid lenses."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bev.errors import ConfigError
from bev.geometry import Cameras, KannalaBrandt, image_affine, in_view
from bev.geometry.fisheye import rising_until

COEFFICIENTS = (-0.012, 0.004, -0.003, 0.0005)  # of a typical lens
LENS = KannalaBrandt.make(COEFFICIENTS, math.radians(95))
SMALL = st.floats(-0.02, 0.02)
COEFFICIENT = st.tuples(st.floats(-0.05, 0.2), SMALL, SMALL, st.floats(-0.004, 0.004))


def directions(count: int, widest: float, seed: int = 0) -> torch.Tensor:
    """Points up to ``widest`` radians from the axis, 0.5 m to 50 m away."""
    rng = np.random.default_rng(seed)
    theta, turn = rng.uniform(0, widest, count), rng.uniform(-np.pi, np.pi, count)
    ray = [np.sin(theta) * np.cos(turn), np.sin(theta) * np.sin(turn), np.cos(theta)]
    return torch.from_numpy(np.stack(ray, axis=-1) * rng.uniform(0.5, 50, (count, 1)))


@given(COEFFICIENT, st.integers(0, 9))
@settings(max_examples=25)
def test_projection_equals_opencvs(coefficients, seed):
    lens = KannalaBrandt.make(coefficients)
    points = directions(
        50, min(1.5, lens.max_angle.item()), seed
    )  # OpenCV's model ends at 90 degrees
    plane, depth = lens.project(points)
    nothing, distortion = np.zeros((1, 3)), np.array(coefficients)
    theirs, _ = cv2.fisheye.projectPoints(
        points.numpy()[None], nothing, nothing, np.eye(3), distortion
    )
    torch.testing.assert_close(plane[:, :2], torch.from_numpy(theirs[0]), rtol=1e-12, atol=1e-12)
    assert (plane[:, 2] == 1).all()
    torch.testing.assert_close(depth, points.norm(dim=-1))
    rays = lens.unproject(plane)
    undistorted = cv2.fisheye.undistortPoints(theirs, np.eye(3), distortion)[0]
    near = (points[:, 2] > 0.4 * depth).numpy()  # far from the axis OpenCV stops too early
    ours = (rays[:, :2] / rays[:, 2:]).numpy()
    np.testing.assert_allclose(ours[near], undistorted[near], rtol=1e-6, atol=1e-6)


@given(COEFFICIENT, st.floats(0.2, 1.0), st.integers(0, 9))
def test_unprojecting_inverts_projecting(coefficients, share, seed):
    """Exact to float64 rounding, also beyond 90 degrees, wherever theta_d increases."""
    until = min(rising_until(coefficients), math.pi)
    lens = KannalaBrandt.make(coefficients, share * 0.95 * until)
    points = directions(50, lens.max_angle.item(), seed)
    plane, depth = lens.project(points)
    torch.testing.assert_close(lens.unproject(plane), points / depth[:, None], rtol=0, atol=1e-12)
    again, _ = lens.project(lens.unproject(plane) * depth[:, None])
    torch.testing.assert_close(again, plane, rtol=1e-13, atol=1e-14)


def test_the_rim_of_a_lens_that_stops_widening():
    """The round trip of a pixel is exact up to the largest angle that can be inverted."""
    lens = KannalaBrandt.make((-0.1, 0.0, 0.0, 0.0))
    assert lens.max_angle.item() == pytest.approx(0.999 * math.sqrt(1 / 0.3))
    points = directions(200, lens.max_angle.item())
    plane, depth = lens.project(points)
    again, _ = lens.project(lens.unproject(plane))
    torch.testing.assert_close(again, plane, rtol=1e-12, atol=1e-12)
    assert (depth > 0).all()


def test_worked_points_of_an_equidistant_lens():
    """Points at 45 and 90 degrees right and 100 degrees down, all 2 m away."""
    lens = KannalaBrandt.make((0.0, 0.0, 0.0, 0.0), math.radians(101))
    ten = math.radians(10)
    below = [0.0, 2 * math.cos(ten), -2 * math.sin(ten)]
    points = torch.tensor([[math.sqrt(2), 0, math.sqrt(2)], [2, 0, 0], below], dtype=torch.float64)
    plane, depth = lens.project(points)
    expected = [[math.pi / 4, 0, 1], [math.pi / 2, 0, 1], [0, math.radians(100), 1]]
    torch.testing.assert_close(plane, torch.tensor(expected, dtype=torch.float64))
    assert depth.tolist() == pytest.approx([2, 2, 2])


def test_points_beyond_the_field_of_view_are_not_seen():
    limit = LENS.max_angle.item()
    angles = torch.tensor([0.0, limit - 1e-9, limit + 1e-9, 3.0, math.pi], dtype=torch.float64)
    points = 7 * torch.stack([angles.sin(), torch.zeros(5), angles.cos()], dim=-1)
    plane, depth = LENS.project(points)
    assert (depth > 0).tolist() == [True, True, False, False, False]
    assert plane.isfinite().all()
    beyond = plane[1:2] * torch.tensor([1.001, 1.001, 1.0])
    assert LENS.unproject(beyond).isnan().all()
    assert LENS.unproject(plane[:2]).isfinite().all()
    centre, depth = LENS.project(torch.zeros(1, 3, dtype=torch.float64))
    assert centre.isfinite().all() and depth.item() == 0
    behind = torch.tensor([[0.0, 0, -3]], dtype=torch.float64)
    assert LENS.project(behind)[1].item() == -3


def test_a_fisheye_camera_sees_the_points_in_its_image():
    """Pixels of an augmented image unproject and project back; other points are out of view."""
    intrinsics = torch.tensor([[240.0, 0, 400], [0, 240, 225], [0, 0, 1]], dtype=torch.float64)
    affine = image_affine((256, 704), 0.8, (20.0, 10.0), flip=True, rotation=0.1)
    camera = Cameras(intrinsics, torch.eye(4, dtype=torch.float64), affine, LENS)
    pixels = torch.from_numpy(np.random.default_rng(0).uniform((0, 0), (704, 256), (300, 2)))
    depth = torch.linspace(1, 40, 300, dtype=torch.float64)
    points = camera.unproject(pixels, depth)
    seen = points.isfinite().all(dim=-1)
    assert 200 < seen.sum() < 300
    found, distance = camera.project(points[seen])
    torch.testing.assert_close(found, pixels[seen], atol=1e-9, rtol=0)
    torch.testing.assert_close(distance, depth[seen])
    assert in_view(found, distance, (256, 704)).all()
    assert not in_view(*camera.project(points * torch.tensor([1.0, 1.0, -1.0])), (256, 704)).all()
    torch.testing.assert_close(camera.rays(pixels)[seen].norm(dim=-1), torch.ones_like(depth[seen]))


def test_gradients_are_correct_also_on_the_axis():
    """Gradients of points, pixels and coefficients equal finite differences."""
    points = directions(6, 1.6)
    points[0] = torch.tensor([0.0, 0, 4])
    points[1] = torch.tensor([0.0, 3, -0.1])
    limit, numbers = LENS.max_angle, LENS.coefficients.clone().requires_grad_()
    points.requires_grad_()

    def project(points, numbers):
        return KannalaBrandt(numbers, limit).project(points)

    def unproject(plane, numbers):
        plane = torch.cat([plane, torch.ones_like(plane[:, :1])], dim=-1)
        return KannalaBrandt(numbers, limit).unproject(plane)

    assert torch.autograd.gradcheck(project, (points, numbers))
    plane = project(points, numbers)[0][:, :2].detach().requires_grad_()
    assert plane[0].abs().max() == 0
    assert torch.autograd.gradcheck(unproject, (plane, numbers))
    centre = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    plane, depth = LENS.project(centre)
    (plane.sum() + depth.sum()).backward()
    assert centre.grad.isfinite().all()


def test_float32_is_exact_enough_for_pixels():
    """A float32 round trip is exact to a thousandth of a pixel at 500 pixels per radian."""
    single = LENS.to(torch.float32)
    points = directions(500, 1.6).float()
    plane, _ = single.project(points)
    exact, _ = LENS.project(points.double())
    assert (plane - exact).abs().max() < 1e-6
    again, _ = single.project(single.unproject(plane))
    assert (again - plane).abs().max() < 2e-6


@pytest.mark.parametrize(
    ("coefficients", "max_angle", "message"),
    [
        ((0.1, 0.0, 0.0), None, "four finite coefficients"),
        ((0.1, 0.0, 0.0, math.nan), None, "four finite coefficients"),
        ((0.1, 0.0, 0.0, 0.0), 0.0, "max_angle above 0"),
        ((0.1, 0.0, 0.0, 0.0), 3.2, "up to pi"),
        ((-0.1, 0.0, 0.0, 0.0), 1.9, "stops widening at 1.826 radians .* max_angle 1.9"),
        ((0.0, 0.0, 0.0, -0.05), 1.6, "stops widening at 1.105"),
    ],
)
def test_invalid_lenses_are_named(coefficients, max_angle, message):
    with pytest.raises(ConfigError, match=message):
        KannalaBrandt.make(coefficients, max_angle)


@given(COEFFICIENT)
def test_theta_d_increases_up_to_rising_until(coefficients):
    until = min(rising_until(coefficients), math.pi)
    theta = torch.linspace(0, until * 0.9999, 2000, dtype=torch.float64)
    lens = KannalaBrandt(torch.tensor(coefficients, dtype=torch.float64), torch.tensor(math.pi))
    points = torch.stack([theta.sin(), torch.zeros_like(theta), theta.cos()], dim=-1)
    assert (lens.project(points)[0][:, 0].diff() > 0).all()
