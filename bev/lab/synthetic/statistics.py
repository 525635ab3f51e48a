"""Statistics of a synthetic world's difficulty, which the tests compare with guaranteed limits."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bev.data.nuscenes.classes import CLASS_RANGE
from bev.data.nuscenes.writing.tables import CATEGORIES
from bev.lab.synthetic.config import VERSION, SceneKey, WorldConfig
from bev.lab.synthetic.scene.scene import make_scene
from bev.lab.synthetic.visibility.ground_truth import frame_ground_truth, visibility_token


@dataclass
class Statistics:
    """Counts of boxes over key frames.

    Only boxes of the official evaluation are counted: at least one lidar point, within the range of
    the class.

    Attributes:
        frames: number of key frames.
        boxes: number of counted boxes.
        beyond_30m: number of counted boxes more than 30 m away.
        hardly_visible: number of counted boxes less than 40 % visible.
        by_class: number of counted boxes of each class.
        scenes_with_class: number of scenes with a counted box of each class.
        scenes: number of scenes.
    """

    frames: int = 0
    boxes: int = 0
    beyond_30m: int = 0
    hardly_visible: int = 0
    by_class: Counter = field(default_factory=Counter)
    scenes_with_class: Counter = field(default_factory=Counter)
    scenes: int = 0

    def add(self, label: str, distance: float, points: int, visibility: str) -> None:
        """Count one annotated box; distance in metres in the ground plane."""
        if points < 1 or distance >= CLASS_RANGE[label]:
            return
        self.boxes += 1
        self.beyond_30m += distance > 30.0
        self.hardly_visible += visibility == "1"
        self.by_class[label] += 1

    @property
    def boxes_per_frame(self) -> float:
        """Counted boxes per key frame."""
        return self.boxes / max(1, self.frames)

    @property
    def share_beyond_30m(self) -> float:
        """Share of counted boxes more than 30 m away."""
        return self.beyond_30m / max(1, self.boxes)

    @property
    def share_hardly_visible(self) -> float:
        """Share of counted boxes less than 40 % visible."""
        return self.hardly_visible / max(1, self.boxes)

    def report(self) -> str:
        """Short table as text."""
        lines = [
            f"scenes {self.scenes}, key frames {self.frames}",
            f"counted boxes per frame   {self.boxes_per_frame:6.1f}   (at least 25)",
            f"beyond 30 m               {self.share_beyond_30m:6.1%}   (at least 30 %)",
            f"less than 40 % visible    {self.share_hardly_visible:6.1%}   (at least 20 %)",
            "class                   boxes per frame   scenes with it",
        ]
        for label in CLASS_RANGE:
            share = self.scenes_with_class[label] / max(1, self.scenes)
            per_frame = self.by_class[label] / max(1, self.frames)
            lines.append(f"{label:<22} {per_frame:>16.2f} {share:>16.0%}")
        return "\n".join(lines)


def scene_statistics(config: WorldConfig, keys: Iterable[SceneKey], every: int = 1) -> Statistics:
    """Statistics of scenes, generated without images and without reading or writing files.

    Args:
        config: settings of the world.
        keys: keys of the scenes.
        every: step between the key frames that are counted.
    """
    total = Statistics()
    for key in keys:
        scene, before = make_scene(key, config), Counter(total.by_class)
        for frame in range(0, config.frames_per_scene, every):
            ground_truth = frame_ground_truth(scene, frame, config.image_size)
            total.frames += 1
            for i, actor in enumerate(scene.actors):
                token = visibility_token(ground_truth.visible[i])
                total.add(actor.label, ground_truth.distance[i], int(ground_truth.points[i]), token)
        total.scenes += 1
        total.scenes_with_class.update(set(total.by_class - before))
    return total


def world_statistics(root: Path, config: WorldConfig) -> Statistics:
    """Statistics of a finished world, computed from its tables."""
    folder = Path(root) / VERSION
    table = {
        name: json.loads((folder / f"{name}.json").read_text())
        for name in (
            "sample",
            "sample_data",
            "sample_annotation",
            "instance",
            "category",
            "ego_pose",
        )
    }
    label_of = {category: label for label, category in CATEGORIES.items()}
    label_of["human.pedestrian.child"] = "pedestrian"
    category = {row["token"]: label_of[row["name"]] for row in table["category"]}
    label = {row["token"]: category[row["category_token"]] for row in table["instance"]}
    pose = {row["token"]: row["translation"] for row in table["ego_pose"]}
    scene = {row["token"]: row["scene_token"] for row in table["sample"]}
    ego = {
        row["sample_token"]: pose[row["ego_pose_token"]]
        for row in table["sample_data"]
        if row["fileformat"] == "pcd"
    }
    total, found = Statistics(), set()
    total.frames, total.scenes = len(table["sample"]), config.train_scenes + config.val_scenes
    for row in table["sample_annotation"]:
        name, sample = label[row["instance_token"]], row["sample_token"]
        (x, y, _), (u, v, _) = row["translation"], ego[sample]
        counted = total.boxes
        distance = math.hypot(x - u, y - v)
        total.add(name, distance, row["num_lidar_pts"], row["visibility_token"])
        if total.boxes > counted:
            found.add((scene[sample], name))
    total.scenes_with_class.update(name for _, name in found)
    return total
