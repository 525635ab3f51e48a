"""Ground truth between two key frames: hand-made cases."""

import math
from dataclasses import replace

import pytest
import torch

from bev.data.frame import AdjacentFrame, Frame
from bev.geometry import Boxes3D
from bev.visualization.video.interpolation import frame_between, interpolate


def boxes(*rows: tuple[float, float, float]) -> Boxes3D:
    """Boxes at (x, y) with a yaw."""
    values = torch.tensor(rows, dtype=torch.float64).reshape(-1, 3)
    center = torch.cat([values[:, :2], torch.ones(len(values), 1).double()], dim=1)
    size = torch.tensor([[4.0, 2.0, 1.5]], dtype=torch.float64).expand(len(values), 3)
    return Boxes3D.make(center, size, values[:, 2])


def numbers(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.long)


def pose(x: float) -> torch.Tensor:
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[0, 3] = x
    return matrix


def test_positions_are_linear_and_instances_are_matched_in_any_order():
    first, last = boxes((0, 0, 0), (10, 0, 0)), boxes((20, 4, 0), (2, 8, 0))
    found, instances, rows = interpolate(first, numbers(3, 9), last, numbers(9, 3), 0.25)
    assert instances.tolist() == [3, 9]
    assert found.center[:, :2].tolist() == [[0.5, 2.0], [12.5, 1.0]]
    assert rows.tolist() == [0, 1]
    later = interpolate(first, numbers(3, 9), last, numbers(9, 3), 0.75)
    assert later[0].center[:, :2].tolist() == [[1.5, 6.0], [17.5, 3.0]]
    assert later[2].tolist() == [2 + 1, 2 + 0]


@pytest.mark.parametrize(
    ("start", "end", "middle"),
    [(0.2, 0.6, 0.4), (3.0, -3.0, math.pi), (-3.0, 3.0, -math.pi), (6.2, 0.1, 6.2 + 0.0915926)],
)
def test_the_yaw_turns_the_shortest_way(start, end, middle):
    found, _, _ = interpolate(boxes((0, 0, start)), numbers(1), boxes((0, 0, end)), numbers(1), 0.5)
    assert found.yaw.item() == pytest.approx(middle, abs=1e-6)


def test_a_box_of_one_time_is_kept_in_the_half_beside_it():
    first, last = boxes((0, 0, 0), (5, 5, 1)), boxes((1, 0, 0), (7, 7, 2))
    ids = numbers(1, 2), numbers(1, 3)
    early = interpolate(first, ids[0], last, ids[1], 0.4)
    late = interpolate(first, ids[0], last, ids[1], 0.6)
    assert early[1].tolist() == [1, 2] and late[1].tolist() == [1, 3]
    assert early[0].center[1, :2].tolist() == [5, 5] and late[0].center[1, :2].tolist() == [7, 7]
    assert early[2].tolist() == [0, 1] and late[2].tolist() == [2, 3]


def test_the_ends_of_the_interval_are_the_key_frames():
    first, last = boxes((0, 0, 0.3)), boxes((4, 2, -1.0))
    for share, expected in ((0.0, first), (1.0, last)):
        found, _, _ = interpolate(first, numbers(4), last, numbers(4), share)
        assert torch.allclose(found.center, expected.center)
        assert torch.allclose(found.yaw, expected.yaw)


def test_a_frame_between_moves_with_the_ego_vehicle():
    """The car drives 2 m ahead from 0 to 4 m in the global frame, the ego vehicle from 0 to 1 m."""
    key = Frame(
        "a", (), boxes((2, 0, 0)), "s", timestamp=1_000_000, num_points=numbers(5),
        instances=numbers(8),
    )  # fmt: skip
    following = replace(
        key, token="b", boxes=boxes((5, 0, 0)), timestamp=1_500_000, global_from_ego=pose(1.0)
    )  # global: x = 6
    images = AdjacentFrame("sweep", (), 0.25, pose(0.5))
    found = frame_between(key, following, images)
    assert found.timestamp == 1_250_000 and found.global_from_ego[0, 3] == 0.5
    assert found.boxes.center[0].tolist() == [3.5, 0.0, 1.0]  # global 4, less 0.5
    assert found.boxes.center.dtype == torch.float32
    assert found.num_points.tolist() == [5] and found.instances.tolist() == [8]
    unknown = frame_between(replace(key, instances=None), following, replace(images, seconds=0.4))
    assert unknown.boxes.center[0].tolist() == [5.5, 0.0, 1.0]  # those of the nearer key frame
