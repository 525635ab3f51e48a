"""The example lens of docs/cameras.md."""

import re
from pathlib import Path

import torch

from bev.geometry import Cameras, KannalaBrandt, Pinhole, stack_lenses

PAGE = Path(__file__).parents[2] / "docs" / "cameras.md"


def unified(xi: float):
    names: dict = {"__name__": "own_lens"}
    exec(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1], names)
    return names["Unified"](torch.tensor(xi, dtype=torch.float64))


def test_project_and_unproject_are_inverse():
    lens = unified(0.8)
    points = torch.randn(200, 3, dtype=torch.float64) * 10
    plane, depth = lens.project(points)
    assert ((depth > 0) == (points[:, 2] > -0.8 * points.norm(dim=-1))).all()
    seen = depth > 0
    assert (points[seen, 2] < 0).any()
    back = lens.unproject(plane[seen]) * depth[seen, None]
    torch.testing.assert_close(back, points[seen])


def test_without_a_shift_it_is_a_pinhole_except_for_depth():
    points = torch.rand(20, 3, dtype=torch.float64) + 0.1
    plane, depth = unified(0.0).project(points)
    assert torch.equal(plane, points)
    torch.testing.assert_close(depth, points.norm(dim=-1))


def test_it_works_in_a_rig_of_several_lenses():
    own, wide = unified(0.5), KannalaBrandt.make((0.0, 0.0, 0.0, 0.0), 1.6)
    eye = torch.eye(3, dtype=torch.float64).expand(3, 3, 3)
    pose = torch.eye(4, dtype=torch.float64).expand(3, 4, 4)
    rig = Cameras(eye, pose, eye, stack_lenses([Pinhole(), own, wide]))
    points = torch.randn(3, 30, 3, dtype=torch.float64)
    pixels, depth = rig.project(points)
    plane, own_depth = own.project(points[1])
    assert torch.equal(pixels[1], plane[:, :2] / plane[:, 2:])
    assert torch.equal(depth[1], own_depth)
    seen = depth > 0.01
    torch.testing.assert_close(rig.unproject(pixels, depth)[seen], points[seen])
