"""nuScenes tables of a synthetic world: the rows of one scene, and the rows that all scenes share.

Tokens are hashes of names, so the rows of a scene depend neither on the other scenes nor on the
process that generates it.
"""

from collections.abc import Sequence

import numpy as np

from bev.data.nuscenes.writing.tables import (
    CATEGORIES,
    TABLES,
    links,
    place_rows,
    shared_rows,
    token,
)
from bev.lab.synthetic.rig import LIDAR
from bev.lab.synthetic.scene.scene import Scene
from bev.lab.synthetic.visibility.ground_truth import FrameGroundTruth, visibility_token

ATTRIBUTES = (
    "vehicle.moving",
    "vehicle.stopped",
    "vehicle.parked",
    "cycle.with_rider",
    "cycle.without_rider",
    "pedestrian.moving",
    "pedestrian.standing",
    "pedestrian.sitting_lying_down",
)
MAP_FILE = "maps/synthetic.png"
EXPANSIONS = "maps/expansion"


def sample_file(scene_name: str, channel: str, timestamp: int) -> str:
    """Path of a sensor file below the data root."""
    ending = "pcd.bin" if channel == LIDAR else "jpg"
    return f"samples/{channel}/{scene_name}__{channel}__{timestamp}.{ending}"


def world_rows(cameras: Sequence[str]) -> dict[str, list[dict]]:
    """Rows of the tables that no scene changes, for the given camera channels and the lidar."""
    names = sorted({*CATEGORIES.values(), "human.pedestrian.child"})
    sensors = dict.fromkeys(cameras, "camera") | {LIDAR: "lidar"}
    return shared_rows(names, ATTRIBUTES, sensors, "As in nuScenes.")


def annotated_frames(points: np.ndarray) -> np.ndarray:
    """Mask of the annotated frames of each track.

    A track is annotated from one frame before its first lidar return to one frame after its last.
    This includes every box with a return, and gives each track a second box for its velocity.

    Args:
        points: (frames, actors) number of lidar points in each box.

    Returns:
        (frames, actors) bool.
    """
    hit = points > 0
    visible = hit.any(0)
    first = hit.argmax(0) - 1
    last = len(hit) - hit[::-1].argmax(0)
    frame = np.arange(len(hit))[:, None]
    return (frame >= first) & (frame <= last) & visible


def scene_rows(
    scene: Scene, ground_truths: list[FrameGroundTruth], size: tuple[int, int]
) -> dict[str, list]:
    """All rows that one scene adds to the tables."""
    name = scene.key.name
    seed = scene.key.world_seed
    frames = len(ground_truths)

    def key(*parts: object) -> str:
        return token(seed, name, *parts)

    rows: dict[str, list] = {table: [] for table in TABLES}
    samples = [key("sample", i) for i in range(frames)]
    rows["scene"].append(
        {
            "token": key("scene"),
            "log_token": key("log"),
            "nbr_samples": frames,
            "first_sample_token": samples[0],
            "last_sample_token": samples[-1],
            "name": name,
            "description": f"Made street, {len(scene.actors)} actors",
        }
    )
    # Each scene has a street of its own, so its own location and map.
    tokens = key("log"), key("map")
    rows |= place_rows(tokens, name, name, "synthetic", "2020-09-13", MAP_FILE)
    for i, sample in enumerate(samples):
        rows["sample"].append(
            {
                "token": sample,
                "timestamp": scene.firings[i][LIDAR],
                "scene_token": key("scene"),
                **links(samples, i),
            }
        )
    for channel, mount in scene.rig.mounts.items():
        rows["calibrated_sensor"].append(
            {
                "token": key("calibrated", channel),
                "sensor_token": token("sensor", channel),
                **mount.row(),
            }
        )
        for i in range(frames):
            _sensor_rows(rows, scene, channel, i, samples[i], key, size)
    _annotation_rows(rows, scene, ground_truths, samples, key)
    return rows


def _sensor_rows(rows, scene: Scene, channel: str, frame: int, sample: str, key, size) -> None:
    timestamp = scene.firings[frame][channel]
    pose = scene.ego_pose(timestamp)
    own_token = key("data", channel, frame)
    camera, last = channel != LIDAR, len(scene.firings) - 1
    rows["ego_pose"].append(
        {
            "token": own_token,
            "timestamp": timestamp,
            "rotation": _quaternion(np.arctan2(pose[1, 0], pose[0, 0])),
            "translation": _rounded(pose[:3, 3], 9),
        }
    )
    rows["sample_data"].append(
        {
            "token": own_token,
            "sample_token": sample,
            "ego_pose_token": own_token,
            "calibrated_sensor_token": key("calibrated", channel),
            "timestamp": timestamp,
            "fileformat": "jpg" if camera else "pcd",
            "is_key_frame": True,
            "height": size[1] if camera else 0,
            "width": size[0] if camera else 0,
            "filename": sample_file(scene.key.name, channel, timestamp),
            "prev": key("data", channel, frame - 1) if frame else "",
            "next": key("data", channel, frame + 1) if frame < last else "",
        }
    )


def _annotation_rows(
    rows, scene: Scene, ground_truths: list[FrameGroundTruth], samples, key
) -> None:
    annotated = annotated_frames(np.stack([ground_truth.points for ground_truth in ground_truths]))
    for i, actor in enumerate(scene.actors):
        frames = np.flatnonzero(annotated[:, i])
        if len(frames) == 0:
            continue
        tokens = [key("annotation", i, frame) for frame in frames]
        rows["instance"].append(
            {
                "token": key("instance", i),
                "category_token": token("category", actor.category),
                "nbr_annotations": len(tokens),
                "first_annotation_token": tokens[0],
                "last_annotation_token": tokens[-1],
            }
        )
        length, width, height = actor.shape.size
        attributes = [token("attribute", actor.attribute)] if actor.attribute else []
        for n, frame in enumerate(frames):
            ground_truth = ground_truths[frame]
            rows["sample_annotation"].append(
                {
                    "token": tokens[n],
                    "sample_token": samples[frame],
                    "instance_token": key("instance", i),
                    "visibility_token": visibility_token(ground_truth.visible[i]),
                    "attribute_tokens": attributes,
                    "translation": _rounded(ground_truth.items.centre[i], 6),
                    "size": _rounded((width, length, height), 6),
                    "rotation": _quaternion(ground_truth.items.yaw[i]),
                    "num_lidar_pts": int(ground_truth.points[i]),
                    "num_radar_pts": 0,
                    **links(tokens, n),
                }
            )


def _rounded(values, digits: int) -> list[float]:
    return [round(float(v), digits) for v in values]


def _quaternion(yaw: float) -> list[float]:
    """Quaternion (w, x, y, z) of a rotation about z by ``yaw`` radians."""
    return [round(float(np.cos(yaw / 2)), 12), 0.0, 0.0, round(float(np.sin(yaw / 2)), 12)]
