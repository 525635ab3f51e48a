"""Contents of the viewer as plain data: arrays, numbers, text, and encoded images.

Nothing here refers to a data set, a network or a browser; a recording holds exactly these data.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Int16

from bev.visualization.colors import Color

LIDAR_STEP = 0.01  # metres in one unit of Moment.lidar
ENERGY = "energy"  # beginning of the names of maps of features, which are off at first


@dataclass(frozen=True)
class CameraPicture:
    """Image of one camera on a plane in front of it; the axes are those of the project's cameras.

    Attributes:
        name: name of the camera.
        ego_from_camera: pose of the camera.
        border: left, top, right and bottom of the image on the plane z = 1 of the camera frame.
        jpeg: the image, encoded.
    """

    name: str
    ego_from_camera: Float[np.ndarray, "4 4"]
    border: tuple[float, float, float, float]
    jpeg: bytes


@dataclass(frozen=True)
class BoxTable:
    """M boxes of one moment in its ego frame; units are those of ``bev.geometry.Boxes3D``.

    Attributes:
        center, size, yaw, velocity, label, score: as in ``Boxes3D``; the velocity is NaN where it
            is unknown, labels are indices into ``Recording.classes``.
        track: number of the tracked object, -1 where it is unknown.
        points: lidar and radar points in the box, -1 where they are unknown.
    """

    center: Float[np.ndarray, "M 3"]
    size: Float[np.ndarray, "M 3"]
    yaw: Float[np.ndarray, " M"]
    velocity: Float[np.ndarray, "M 2"]
    label: Int[np.ndarray, " M"]
    score: Float[np.ndarray, " M"]
    track: Int[np.ndarray, " M"]
    points: Int[np.ndarray, " M"]

    def __len__(self) -> int:
        return len(self.center)


@dataclass(frozen=True)
class GroundMap:
    """Picture that lies on the ground.

    Attributes:
        name: name of the map, the same at every moment.
        extent: lowest x, lowest y, highest x and highest y, metres in the ego frame.
        png: red, green, blue and opacity; columns run along x and rows along y, lowest first.
    """

    name: str
    extent: tuple[float, float, float, float]
    png: bytes


@dataclass(frozen=True)
class Moment:
    """What there is at one key frame.

    Attributes:
        token: token of the key frame.
        seconds: time since the first moment.
        scene_from_ego: pose of the ego vehicle; the scene frame is level, and its origin and its x
            axis are those of the vehicle at the first moment.
        cameras: images.
        boxes: boxes of each of ``Recording.layers``.
        maps: pictures on the ground.
        lidar: points in the ego frame, in units of ``LIDAR_STEP``; None without lidar.
    """

    token: str
    seconds: float
    scene_from_ego: Float[np.ndarray, "4 4"]
    cameras: tuple[CameraPicture, ...]
    boxes: tuple[BoxTable, ...]
    maps: tuple[GroundMap, ...]
    lidar: Int16[np.ndarray, "P 3"] | None


@dataclass(frozen=True)
class NamedClass:
    """Name and colour of a class of boxes."""

    name: str
    color: Color


@dataclass(frozen=True)
class Recording:
    """The moments of a scene.

    Attributes:
        title: what is shown, such as the name of a run.
        scene: name of the scene.
        classes: classes of all boxes.
        layers: names of the sets of boxes; the first one is the ground truth.
        moments: moments in order of time, at least one.
    """

    title: str
    scene: str
    classes: tuple[NamedClass, ...]
    layers: tuple[str, ...]
    moments: tuple[Moment, ...]
