"""Tracks join the positions of one object over time in the frame of the last."""

from dataclasses import replace

import pytest
import torch

from bev.data.frame import Frame
from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.geometry import Boxes3D
from bev.geometry.transforms import rotation_z
from bev.visualization.tracks import earlier_frames, tracks_of


def frame(ego_x: float, yaw: float, instances: list[int], places: list[list[float]]) -> Frame:
    """Frame whose boxes stand at places (x, y) of the global frame."""
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = rotation_z(torch.tensor(yaw, dtype=torch.float64))
    pose[0, 3] = ego_x
    center = torch.tensor([[x, y, 1.0] for x, y in places], dtype=torch.float64)
    boxes = Boxes3D.make(
        center, torch.ones(len(places), 3).double(), torch.zeros(len(places)).double()
    )
    boxes = boxes.transform(torch.linalg.inv(pose))
    return Frame(
        "t", (), replace(boxes, label=torch.tensor(instances) % 3), "s", global_from_ego=pose,
        num_points=torch.ones(len(places), dtype=torch.long), instances=torch.tensor(instances),
    )  # fmt: skip


def test_a_standing_object_stays_in_place_while_the_ego_vehicle_moves():
    earlier = [
        frame(0.0, 0.0, [7, 5], [[10.0, 2.0], [1.0, 1.0]]),
        frame(2.0, 0.3, [7], [[10.0, 2.0]]),
    ]
    last = frame(4.0, -1.2, [8, 7], [[3.0, 3.0], [10.0, 2.0]])
    (track,) = tracks_of(last, earlier)
    assert track.label == 7 % 3 and track.points.shape == (3, 2)
    assert torch.allclose(track.points, last.boxes.center[1, :2].expand(3, 2))


def test_objects_without_identity_or_points_have_no_track():
    one, two = frame(0.0, 0.0, [1], [[5.0, 0.0]]), frame(0.0, 0.0, [1], [[6.0, 0.0]])
    assert tracks_of(two, [one])[0].points.tolist() == [[5.0, 0.0], [6.0, 0.0]]
    assert tracks_of(replace(two, instances=None), [one]) == []
    assert tracks_of(two, [replace(one, instances=None)]) == []
    assert tracks_of(replace(two, num_points=torch.tensor([0])), [one]) == []


def test_tracks_of_real_ground_truth(nuscenes_root):
    """Parked cars of 81 real samples stay within the reach of the annotations' noise."""
    frames = read_frames(open_index(nuscenes_root, "v1.0-valgt-mini"), "mini_val")
    place = 20
    earlier = earlier_frames(frames, place, 3.0)
    assert [f.token for f in earlier] == list(frames.tokens[14:20])
    last = frames[place]
    tracks = tracks_of(last, earlier)
    assert len(tracks) > 10
    still = last.boxes.velocity.norm(dim=1) < 0.05
    parked = set(last.instances[still].tolist())
    assert parked
    moved = [
        float((track.points - track.points[-1]).norm(dim=1).max())
        for track, number in zip(tracks_of(last, earlier, 0), _numbers(last, earlier), strict=True)
        if number in parked
    ]
    assert max(moved) < 0.5
    assert earlier_frames(frames, 0, 3.0) == [] == earlier_frames(frames, place, 0.0)


def _numbers(last, earlier):
    seen = {number for one in earlier for number in one.instances.tolist()}
    return [number for number in last.instances.tolist() if number in seen]


def test_earlier_frames_end_at_the_scene(nuscenes_root):
    frames = read_frames(open_index(nuscenes_root, "v1.0-valgt-mini"), "mini_val")
    first = frames.scenes.index(frames.scenes[-1])
    assert earlier_frames(frames, first, 100.0) == []
    assert len(earlier_frames(frames, first + 2, 100.0)) == pytest.approx(2)
