"""Lidar points lie on the surfaces of the scene."""

import numpy as np

from bev.lab.synthetic.rig import LIDAR
from bev.lab.synthetic.scene.scene import make_scene
from bev.lab.synthetic.visibility import lidar
from bev.lab.synthetic.visibility.ground_truth import frame_ground_truth
from bev.lab.synthetic.visibility.lidar import ELEVATION, MAX_RANGE, RANGE_NOISE, cast


def test_points_lie_on_the_surface_of_their_item(synthetic_config):
    scene = make_scene(synthetic_config.scene_keys()[1], synthetic_config)
    ground_truth = frame_ground_truth(scene, 0, synthetic_config.image_size)
    pose = scene.ego_pose(scene.firings[0][LIDAR]) @ scene.rig.lidar.ego_from_sensor
    points = ground_truth.sweep.points[:, :3].astype(float) @ pose[:3, :3].T + pose[:3, 3]
    item, items = ground_truth.sweep.item, ground_truth.items
    assert len(points) > 12_000 and (item >= 0).mean() > 0.2
    assert np.abs(points[item < 0, 2]).max() < 5 * RANGE_NOISE
    for i in np.unique(item[item >= 0]):
        shape = items.shapes[i]
        mine = (points[item == i] - items.position[i]) @ items.rotation[i]
        height = mine @ shape.planes[:, :3].T + shape.planes[:, 3]
        # The signed distance to a convex solid is that of its farthest plane.
        solid = np.maximum.reduceat(height, shape.solid_planes[:-1], axis=1)
        assert np.abs(solid).min(1).max() < 6 * RANGE_NOISE, i


def test_windows_lose_no_ray(synthetic_config, monkeypatch):
    scene = make_scene(synthetic_config.scene_keys()[2], synthetic_config)
    ground_truth = frame_ground_truth(scene, 0, synthetic_config.image_size)
    pose = scene.ego_pose(scene.firings[0][LIDAR]) @ scene.rig.lidar.ego_from_sensor
    every = (slice(0, lidar.RINGS), np.arange(lidar.AZIMUTHS))
    fast = cast(ground_truth.items, pose, np.random.default_rng(0))
    monkeypatch.setattr(lidar, "_window", lambda points: every)
    slow = cast(ground_truth.items, pose, np.random.default_rng(0))
    assert np.array_equal(fast.points, slow.points) and np.array_equal(fast.item, slow.item)


def test_rings_and_ranges(synthetic_config):
    scene = make_scene(synthetic_config.scene_keys()[0], synthetic_config)
    points = frame_ground_truth(scene, 0, synthetic_config.image_size).sweep.points
    reach = np.linalg.norm(points[:, :3], axis=1)
    assert points.dtype == np.float32 and reach.max() < MAX_RANGE + 0.1
    elevation = np.arcsin(points[:, 2] / reach)
    np.testing.assert_allclose(elevation, ELEVATION[points[:, 4].astype(int)], atol=1e-4)
