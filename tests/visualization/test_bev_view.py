"""The view from above: forward is up, left is left."""

import numpy as np
import pytest
import torch

from bev.geometry import Boxes3D
from bev.visualization import CLASS_COLORS, BevView, draw_bev

VIEW = BevView(pixels=400, reach=50.0)


def box(x: float, y: float, velocity=(0.0, 0.0), yaw: float = 0.0) -> Boxes3D:
    return Boxes3D.make(
        torch.tensor([[x, y, 0.5]]),
        torch.tensor([[6.0, 3.0, 1.5]]),
        torch.tensor([yaw]),
        velocity=torch.tensor([velocity]),
    )


def changed(**drawn) -> np.ndarray:
    """Rows (x, y) of the pixels that the given things change."""
    difference = draw_bev(VIEW, **drawn).astype(int) - draw_bev(VIEW)
    return np.argwhere((np.abs(difference) > 24).any(axis=-1))[:, ::-1]


def test_pixels_by_hand():
    assert VIEW.locate(np.array([0.0, 0.0])).tolist() == [200, 200]
    assert VIEW.locate(np.array([50.0, 25.0])).tolist() == [100, 0]
    assert VIEW.locate(np.array([-25.0, -50.0, 7.0])).tolist() == [400, 300]


@pytest.mark.parametrize("kind", ["truth", "predictions"])
def test_a_box_ahead_and_left_is_drawn_above_and_left(kind):
    pixels = changed(**{kind: box(20.0, 10.0)})
    assert pixels.mean(axis=0).tolist() == pytest.approx([160, 120], abs=3)
    extent = np.ptp(pixels, axis=0)
    assert extent.tolist() == pytest.approx([12, 24], abs=4)  # 3 m wide, 6 m long, 4 pixels a metre


def test_the_front_of_a_prediction_is_the_strong_edge():
    image = draw_bev(VIEW, predictions=box(20.0, 10.0)).astype(int)
    column = np.abs(image[:, 160] - CLASS_COLORS["car"]).sum(axis=-1) < 60
    # Front and rear edges lie at rows 200 - 4 * 23 and 200 - 4 * 17.
    assert column[104:112].sum() > column[128:136].sum() > 0


def test_the_arrow_points_where_the_box_goes():
    still, moving = (
        changed(predictions=box(0.0, 20.0)),
        changed(predictions=box(0.0, 20.0, (0.0, 15.0))),
    )
    # 15 m/s to the left: the arrow ends 60 pixels left of the centre at x = 120.
    in_row = moving[np.abs(moving[:, 1] - 200) < 3]
    assert in_row[:, 0].min() == pytest.approx(60, abs=3)
    assert still[:, 0].min() > 100


def test_unknown_velocity_has_no_arrow():
    assert len(changed(truth=box(0.0, 20.0, (np.nan, np.nan)))) == len(
        changed(truth=box(0.0, 20.0))
    )


def test_lidar_points_lie_where_they_are():
    pixels = changed(lidar=torch.tensor([[30.0, -20.0, 1.0]]))
    assert pixels.mean(axis=0).tolist() == pytest.approx([280, 80], abs=1)


def test_things_far_outside_do_no_harm():
    wild = box(1e12, -3e9, (1e30, 0.0))
    assert len(changed(predictions=box(300.0, 0.0))) == 0
    draw_bev(VIEW, predictions=wild, lidar=torch.tensor([[1e9, 0.0, 0.0]]))


def test_colours_of_classes_are_told_apart():
    colors = np.array(list(CLASS_COLORS.values())).astype(float)
    distance = np.linalg.norm(colors[:, None] - colors[None], axis=-1)
    assert distance[~np.eye(len(colors), dtype=bool)].min() > 40
