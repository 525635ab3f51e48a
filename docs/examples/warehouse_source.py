"""A custom data source: a cart in a warehouse, five cameras of two image sizes, no lidar.

Each split has a folder with one JSON file per scene and the images next to it. Lengths are in
metres; the cart frame has its origin on the floor, x forward, y left, z up:

    {"cameras": {"front": {"size": [width, height], "matrix": 3x3, "cart_from_camera": 4x4}, …},
     "frames": [{"seconds": 0.5, "hall_from_cart": 4x4, "images": {"front": "aisle-1/….jpg", …},
                 "objects": [{"class": "forklift", "state": "loaded", "center": [x, y, z],
                              "size": [length, width, height], "heading": radians,
                              "velocity": [vx, vy]}, …]}, …]}
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from bev.data.frame import CameraFrame, Frame
from bev.data.labels import LabelSpace, Layer, ObjectClass
from bev.data.settings import DataConfig
from bev.data.source import SourceConfig
from bev.geometry import Boxes3D, Polygons

STATES = ("empty", "loaded")
matrix = partial(torch.tensor, dtype=torch.float64)
LABELS = LabelSpace(
    classes=(
        ObjectClass("pallet", heading="axis", moves=False, color=(214, 158, 96)),
        ObjectClass("forklift", attributes=STATES, color=(250, 224, 80)),
        ObjectClass("worker", nms_radius=0.4, nms_rescale_factor=4.0, color=(56, 189, 248)),
    ),
    attributes=STATES,
    layers=(Layer("stored", (214, 158, 96)),),
)


@dataclass(frozen=True)
class WarehouseConfig(SourceConfig):
    """Scenes below ``data.root``, using every ``every``-th frame of each."""

    every: int = 1

    @property
    def labels(self) -> LabelSpace:
        return LABELS

    @property
    def cameras(self) -> tuple[str, ...]:
        return ("front", "left", "right", "rear_left", "rear_right")

    def frames(self, data: DataConfig, split: str) -> Sequence[Frame]:
        scenes = sorted((data.root / split).glob("*.json"))
        return [frame for path in scenes for frame in read_scene(path)[:: self.every]]

    def polygons(self, data: DataConfig, frames: Sequence[Frame]) -> Callable[[Frame], Polygons]:
        return stored


def stored(frame: Frame) -> Polygons:
    """Layer 0: footprints of the pallets (class 0)."""
    return Polygons.of_boxes(frame.boxes[frame.boxes.label == 0], layer=0)


def read_scene(path: Path) -> list[Frame]:
    scene = json.loads(path.read_text())
    rig = scene["cameras"]  # calibration by camera name
    return [
        Frame(
            token=f"{path.stem}-{number:03d}",
            cameras=tuple(
                CameraFrame(
                    name,
                    path.parent / file,
                    size=tuple(rig[name]["size"][::-1]),
                    intrinsics=matrix(rig[name]["matrix"]),
                    ego_from_camera=matrix(rig[name]["cart_from_camera"]),
                )
                for name, file in frame["images"].items()
            ),
            boxes=read_boxes(frame["objects"]),
            scene=path.stem,
            timestamp=round(1e6 * frame["seconds"]),
            global_from_ego=matrix(frame["hall_from_cart"]),
        )
        for number, frame in enumerate(scene["frames"])
    ]


def read_boxes(objects: list[dict]) -> Boxes3D:
    if not objects:
        return Boxes3D.empty()
    columns = ([one[name] for one in objects] for name in ("center", "size", "heading", "velocity"))
    labels = [LABELS.names.index(one["class"]) for one in objects]
    states = [STATES.index(one["state"]) if "state" in one else -1 for one in objects]
    return Boxes3D.make(
        *map(torch.tensor, columns), label=torch.tensor(labels), attribute=torch.tensor(states)
    )
