"""Ground truth of a key frame: lidar sweep, camera views, lidar points and visibility of each box.

No image is rendered, so statistics of many frames are computed quickly.
"""

from dataclasses import dataclass

import numpy as np

from bev.lab.synthetic.rig import LIDAR
from bev.lab.synthetic.scene.scene import Scene
from bev.lab.synthetic.visibility.items import Items, items_at
from bev.lab.synthetic.visibility.lidar import Sweep, cast
from bev.lab.synthetic.visibility.masks import visible_share
from bev.lab.synthetic.visibility.ordering import item_planes
from bev.lab.synthetic.visibility.view import View


@dataclass(frozen=True)
class FrameGroundTruth:
    """Ground truth of a key frame.

    Attributes:
        items: actors and props at the lidar's time.
        sweep: lidar sweep.
        views: views by camera at the camera's own time; for a fisheye camera, one view for each
            pinhole part of its image.
        points: (actors,) number of lidar points inside each annotated box.
        visible: (actors,) visible share of each actor's pixels.
        distance: (actors,) distance from the ego origin in the ground plane, metres.
        ego: (4, 4) transform global_from_ego at the lidar's time.
    """

    items: Items
    sweep: Sweep
    views: dict[str, View]
    points: np.ndarray
    visible: np.ndarray
    distance: np.ndarray
    ego: np.ndarray


def frame_ground_truth(scene: Scene, frame: int, size: tuple[int, int]) -> FrameGroundTruth:
    """Ground truth of one key frame for images of ``size`` (width, height)."""
    times = scene.firings[frame]
    items = items_at(scene.actors, scene.props, scene.seconds(times[LIDAR]))
    planes, gap = item_planes(items)
    views = {}
    for camera in scene.rig.cameras:
        time = times[camera.channel]
        moved = items_at(scene.actors, scene.props, scene.seconds(time))
        for part in camera.parts(size):
            pose = np.linalg.inv(scene.ego_pose(time) @ part.mount.ego_from_sensor)
            views[part.mount.channel] = View(
                moved, part.mount.camera_matrix, pose, part.size, planes, gap, part.weight
            )
    ego = scene.ego_pose(times[LIDAR])
    global_from_lidar = ego @ scene.rig.lidar.ego_from_sensor
    rng = np.random.default_rng([scene.look_seed, 1, frame])
    sweep = cast(items, global_from_lidar, rng)
    centre = items.centre[: items.actors]
    return FrameGroundTruth(
        items=items,
        sweep=sweep,
        views=views,
        points=count_points(items, sweep.points, global_from_lidar),
        visible=visible_share(list(views.values())),
        distance=np.hypot(*(centre - ego[:3, 3])[:, :2].T),
        ego=ego,
    )


def count_points(items: Items, points: np.ndarray, global_from_sensor: np.ndarray) -> np.ndarray:
    """(actors,) number of points (P, >=3, sensor frame, float32) inside each actor's box."""
    rotation, translation = global_from_sensor[:3, :3], global_from_sensor[:3, 3]
    position = points[:, :3].astype(float) @ rotation.T + translation
    low, high = position.min(0), position.max(0)
    counts = np.zeros(items.actors, int)
    half, centre, yaw = items.half_size, items.centre, items.yaw
    position = position[np.argsort(position[:, 0])]
    for i in range(items.actors):
        radius = np.hypot(*half[i, :2])
        if (centre[i, :2] + radius < low[:2]).any() or (centre[i, :2] - radius > high[:2]).any():
            continue
        bounds = (centre[i, 0] - radius, centre[i, 0] + radius)
        first, last = np.searchsorted(position[:, 0], bounds)
        offset = position[first:last] - centre[i]
        c, s = np.cos(yaw[i]), np.sin(yaw[i])
        counts[i] = (
            (np.abs(c * offset[:, 0] + s * offset[:, 1]) <= half[i, 0])
            & (np.abs(-s * offset[:, 0] + c * offset[:, 1]) <= half[i, 1])
            & (np.abs(offset[:, 2]) <= half[i, 2])
        ).sum()
    return counts


def visibility_token(share: float) -> str:
    """nuScenes visibility level "1" to "4" of a visible share."""
    return str(1 + int(np.searchsorted([0.4, 0.6, 0.8], share, side="right")))
