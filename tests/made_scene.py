"""A recording of the viewer from a few numbers, without data or a network."""

import cv2
import numpy as np

from bev.visualization.viewer.contents import (
    BoxTable,
    CameraPicture,
    GroundMap,
    Moment,
    NamedClass,
    Recording,
)

# A camera that looks along +x of the vehicle, 1.5 m above the ground.
FORWARD = np.array([[0.0, 0, 1, 1.0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])


def boxes(*rows, tracks=None, scores=None) -> BoxTable:
    """Boxes of (x, y, yaw, vx, label), 4 x 2 x 1.5 m, on the ground."""
    count = len(rows)
    x, y, yaw, vx, label = np.array(rows, float).reshape(count, 5).T
    return BoxTable(
        np.stack([x, y, np.full(count, 0.75)], axis=1),
        np.tile([4.0, 2.0, 1.5], (count, 1)),
        yaw,
        np.stack([vx, np.where(np.isnan(vx), np.nan, 0)], axis=1),
        label.astype(np.int64),
        np.ones(count) if scores is None else np.array(scores, float),
        np.arange(count) if tracks is None else np.array(tracks),
        np.full(count, 7),
    )


def image(suffix: str, channels: int) -> bytes:
    """An encoded image of two colours."""
    pixels = np.full((18, 32, channels), 200, np.uint8)
    pixels[:9] = 60
    return cv2.imencode(suffix, pixels)[1].tobytes()


def made_recording(name: str = "van", layers=("ground truth", "first"), moments=3) -> Recording:
    """A vehicle that drives 1 m a moment towards a standing box, which a run predicts.

    Args:
        name: name of all that data name.
        layers: names of the sets of boxes.
        moments: number of moments.
    """
    classes = (NamedClass(name, (250, 120, 0)), NamedClass("post", (0, 120, 250)))
    shown = []
    for number in range(moments):
        pose = np.eye(4)
        pose[0, 3] = number
        truth = boxes((20 - number, 0, 0, 0, 0), (5, 8, 1.5, 2, 1), tracks=(4, 9))
        predicted = boxes((20.2 - number, 0.1, 0, np.nan, 0), (9, -9, 0, 0, 1), scores=(0.9, 0.1))
        tables = (truth, *(predicted for _ in layers[1:]))
        camera = CameraPicture(name, FORWARD, (-0.8, -0.45, 0.8, 0.45), image(".jpg", 3))
        ground = GroundMap(name, (-20.0, -20.0, 40.0, 20.0), image(".png", 4))
        lidar = np.array([[1000, -500, 20], [-32768, 32767, 0]], np.int16)
        shown.append(
            Moment(f"{name} {number}", 0.5 * number, pose, (camera,), tables, (ground,), lidar)
        )
    return Recording(f"about {name}", name, classes, tuple(layers), tuple(shown))
