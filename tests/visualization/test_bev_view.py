"""The bird's-eye view: forward is up, left is left."""

import numpy as np
import pytest
import torch

from bev.data.labels import LabelSpace, ObjectClass
from bev.data.nuscenes.classes import CLASSES, NUSCENES
from bev.geometry import BevGrid, Boxes3D
from bev.visualization.bev_view import BevView, draw_bev
from bev.visualization.colors import PALETTE, class_color
from bev.visualization.segmentation import SegmentationMaps

VIEW = BevView(pixels=400, reach=50.0)


def color(name: str) -> tuple[int, int, int]:
    return class_color(NUSCENES, CLASSES.index(name))


def box(x: float, y: float, velocity=(0.0, 0.0), yaw: float = 0.0) -> Boxes3D:
    return Boxes3D.make(
        torch.tensor([[x, y, 0.5]]),
        torch.tensor([[6.0, 3.0, 1.5]]),
        torch.tensor([yaw]),
        velocity=torch.tensor([velocity]),
    )


def changed(**drawn) -> np.ndarray:
    """Rows (x, y) of the pixels that the drawn objects change."""
    difference = draw_bev(VIEW, **drawn).astype(int) - draw_bev(VIEW)
    return np.argwhere((np.abs(difference) > 24).any(axis=-1))[:, ::-1]


def test_worked_pixels():
    assert VIEW.locate(np.array([0.0, 0.0])).tolist() == [200, 200]
    assert VIEW.locate(np.array([50.0, 25.0])).tolist() == [100, 0]
    assert VIEW.locate(np.array([-25.0, -50.0, 7.0])).tolist() == [400, 300]


@pytest.mark.parametrize("kind", ["gt_boxes", "predictions"])
def test_a_box_ahead_and_left_is_drawn_above_and_left(kind):
    pixels = changed(**{kind: box(20.0, 10.0)})
    assert pixels.mean(axis=0).tolist() == pytest.approx([160, 120], abs=3)
    extent = np.ptp(pixels, axis=0)
    assert extent.tolist() == pytest.approx([12, 24], abs=4)  # 3 m x 6 m, 4 pixels per metre


def test_the_front_of_a_prediction_is_the_strong_edge():
    image = draw_bev(VIEW, predictions=box(20.0, 10.0), space=NUSCENES).astype(int)
    column = np.abs(image[:, 160] - color("car")).sum(axis=-1) < 60
    # Front and rear edges lie at rows 200 - 4 * 23 and 200 - 4 * 17.
    assert column[104:112].sum() > column[128:136].sum() > 0


def test_the_arrow_points_in_the_direction_of_motion():
    still, moving = (
        changed(predictions=box(0.0, 20.0)),
        changed(predictions=box(0.0, 20.0, (0.0, 15.0))),
    )
    # 15 m/s to the left: the arrow ends 60 pixels left of the centre at x = 120.
    in_row = moving[np.abs(moving[:, 1] - 200) < 3]
    assert in_row[:, 0].min() == pytest.approx(60, abs=3)
    assert still[:, 0].min() > 100


def test_unknown_velocity_has_no_arrow():
    assert len(changed(gt_boxes=box(0.0, 20.0, (np.nan, np.nan)))) == len(
        changed(gt_boxes=box(0.0, 20.0))
    )


def test_lidar_points_are_drawn_at_their_positions():
    pixels = changed(lidar=torch.tensor([[30.0, -20.0, 1.0]]))
    assert pixels.mean(axis=0).tolist() == pytest.approx([280, 80], abs=1)


def test_objects_far_outside_are_not_drawn():
    wild = box(1e12, -3e9, (1e30, 0.0))
    assert len(changed(predictions=box(300.0, 0.0))) == 0
    draw_bev(VIEW, predictions=wild, lidar=torch.tensor([[1e9, 0.0, 0.0]]))


def test_class_colours_are_distinct():
    """Colours of a label space, and of the palette, which repeats for any number of classes."""
    for colors in ([color(name) for name in CLASSES], PALETTE):
        colors = np.array(colors).astype(float)
        distance = np.linalg.norm(colors[:, None] - colors[None], axis=-1)
        assert distance[~np.eye(len(colors), dtype=bool)].min() > 40
    space = LabelSpace((ObjectClass("crate"), ObjectClass("pallet", color=(1, 2, 3))))
    chosen = [class_color(space, label) for label in range(13)]
    assert chosen == [PALETTE[0], (1, 2, 3), *PALETTE[2:], *PALETTE[:3]]


def test_predicted_cells_are_tinted_and_ground_truth_cells_have_a_border():
    """One cell 20 m ahead and 10 m left is predicted, one behind and right is ground truth."""
    grid = BevGrid(x=(-40.0, 40.0, 2.0), y=(-30.0, 30.0, 3.0), z=(-1.0, 1.0, 2.0))
    predicted, ground_truth = torch.zeros(2, 2, 20, 40, dtype=torch.bool)
    predicted[0, 13, 30] = True  # x 20 to 22, y 9 to 12
    ground_truth[0, 5, 10] = True  # x -20 to -18, y -15 to -12
    layers, colors = ("vehicle", "drivable_area"), ((250, 150, 20), (60, 110, 160))

    def drawn(predicted, ground_truth):
        return changed(
            segmentation=[SegmentationMaps(grid, layers, colors, predicted, ground_truth)]
        )

    tinted = drawn(predicted, torch.zeros_like(ground_truth))
    # 4 pixels per metre, forward is up: rows 112 to 120, columns 152 to 164.
    assert tinted.min(axis=0).tolist() == pytest.approx([152, 112], abs=1)
    assert tinted.max(axis=0).tolist() == pytest.approx([163, 119], abs=1)
    border = drawn(torch.zeros_like(predicted), ground_truth)
    assert border.mean(axis=0).tolist() == pytest.approx([254, 276], abs=1)
    inside = (np.abs(border - [254, 276]) < [3, 1]).all(axis=1)
    assert len(border) > 20 and not inside.any()
    # Without predictions, the ground truth is tinted.
    alone = drawn(None, ground_truth)
    assert len(alone) == pytest.approx(12 * 8, abs=25)
