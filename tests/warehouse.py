"""A data set for ``docs/examples/warehouse_source.py``: boxes drawn on a grey floor."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import torch

from bev.geometry import Boxes3D

# Viewing direction in degrees to the left of ahead; width, height; focal length in pixels.
CAMERAS = {
    "front": (0, (192, 120), 120.0),
    "left": (75, (120, 96), 70.0),
    "right": (-75, (120, 96), 70.0),
    "rear_left": (145, (120, 96), 70.0),
    "rear_right": (-145, (120, 96), 70.0),
}
SCENES = {"train": ("aisle-1", "aisle-2", "aisle-3"), "val": ("aisle-4",)}
FRAMES = 4  # per scene, half a second apart
SPEED = 1.0  # of the cart, metres per second
_SIZES = {"pallet": (1.2, 0.8, 1.0), "forklift": (2.5, 1.2, 2.2), "worker": (0.6, 0.6, 1.8)}
_COLORS = {"pallet": (60, 110, 170), "forklift": (40, 200, 230), "worker": (200, 80, 40)}  # BGR
_FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # cart from camera


def write_warehouse(root: Path) -> Path:
    """Write the data set."""
    for split, scenes in SCENES.items():
        for scene in scenes:
            frames = [_frame(root / split, scene, i) for i in range(FRAMES)]
            cameras = {name: _camera(name) for name in CAMERAS}
            text = json.dumps({"cameras": cameras, "frames": frames})
            (root / split / f"{scene}.json").write_text(text)
    return root


def _camera(name: str) -> dict:
    direction, (width, height), focal = CAMERAS[name]
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = _turn(direction) @ _FORWARD, (0.3, 0.0, 1.2)
    matrix = [[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]]
    return {"size": [width, height], "matrix": matrix, "cart_from_camera": pose.tolist()}


def _frame(folder: Path, scene: str, i: int) -> dict:
    """Write the images of a frame and return its row; the cart drives straight along its x axis."""
    seconds = 0.5 * i
    pose = np.eye(4)
    pose[:3, :3] = _turn(20)
    pose[:3, 3] = pose[:3, 0] * SPEED * seconds + (30.0, 40.0, 0.0)
    rng = np.random.default_rng(list(scene.encode()))
    objects = []
    for number in range(9):
        kind = ("pallet", "worker", "forklift")[(number % 4) % 3]
        angle, away = rng.uniform(-math.pi, math.pi), rng.uniform(3.0, 9.0)
        own = rng.uniform(-0.5, 0.5, 2) * (kind != "pallet")  # velocity, in the cart's frame
        place = away * np.array([math.cos(angle), math.sin(angle)])
        place = place + (own - (SPEED, 0.0)) * seconds
        objects.append(
            {
                "class": kind,
                "center": [*place.tolist(), _SIZES[kind][2] / 2],
                "size": list(_SIZES[kind]),
                "heading": float(rng.uniform(-math.pi, math.pi)),
                "velocity": own.tolist(),
                **({"state": ("empty", "loaded")[number // 4 % 2]} if kind == "forklift" else {}),
            }
        )
    if scene == "aisle-3":  # no forklifts, so that few frames have one
        objects = [one for one in objects if one["class"] != "forklift"]
    images = {}
    for name in CAMERAS:
        images[name] = f"{scene}/{name}_{i:03d}.jpg"
        _draw(folder / images[name], name, objects)
    return {
        "seconds": seconds,
        "hall_from_cart": pose.tolist(),
        "images": images,
        "objects": objects,
    }


def _draw(file: Path, name: str, objects: list[dict]) -> None:
    """Draw each box as the hull of its projected corners, the farthest first."""
    width, height = CAMERAS[name][1]
    camera = _camera(name)
    image = np.full((height, width, 3), 120, np.uint8)
    image[: height // 2] = 60
    camera_from_cart = np.linalg.inv(np.array(camera["cart_from_camera"]))
    for one in sorted(objects, key=lambda one: -math.hypot(*one["center"][:2])):
        box = Boxes3D.make(
            torch.tensor([one["center"]]), torch.tensor([one["size"]]),
            torch.tensor([one["heading"]]),
        )  # fmt: skip
        corners = box.corners()[0].numpy() @ camera_from_cart[:3, :3].T + camera_from_cart[:3, 3]
        if corners[:, 2].min() < 0.2:
            continue
        pixels = corners @ np.array(camera["matrix"]).T
        hull = cv2.convexHull((pixels[:, :2] / pixels[:, 2:]).round().astype(np.int32))
        cv2.fillConvexPoly(image, hull, _COLORS[one["class"]])
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), image)


def _turn(degrees: float) -> np.ndarray:
    """Rotation about z, to the left."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
