"""Key frames of a data source: cameras, calibration, ground truth and adjacent frames.

All poses are relative to the key frame's reference ego frame, see ``Frame.global_from_ego``.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bev.data.lidar import read_lidar
from bev.data.storage.remote import present
from bev.errors import DataError
from bev.geometry import Boxes3D, Lens, Pinhole

Reference = Literal["ego", "lidar"]
"""Coordinate frame of a sample: the ego vehicle's, or that of the LIDAR_TOP sensor."""


@dataclass(frozen=True)
class StoredImage:
    """Calibration of an image file whose distortion is removed when it is loaded.

    Attributes:
        size: (height, width) of the file, pixels.
        intrinsics: (3, 3) float64, maps the lens's plane to the file's pixels.
        lens: lens of the file, float64.
    """

    size: tuple[int, int]
    intrinsics: Float[Tensor, "3 3"]
    lens: Lens


@dataclass(frozen=True)
class CameraFrame:
    """Image and calibration of one camera.

    Attributes:
        name: sensor channel, e.g. ``CAM_FRONT``.
        path: image file.
        size: (height, width) of the image, pixels.
        intrinsics: (3, 3) float64, maps the lens's plane to pixels (for a pinhole: camera rays to
            pixels).
        ego_from_camera: (4, 4) float64, pose of the camera in the reference ego frame.
        lens: camera model, float64.
        stored: calibration of the image file, if it is another one than that of the image: loading
            the image removes the file's distortion, see ``bev.data.images.undistortion``.
    """

    name: str
    path: Path
    size: tuple[int, int]
    intrinsics: Float[Tensor, "3 3"]
    ego_from_camera: Float[Tensor, "4 4"]
    lens: Lens = Pinhole()
    stored: StoredImage | None = None

    @property
    def file_size(self) -> tuple[int, int]:
        """(height, width) of the image file, pixels."""
        height, width = self.size if self.stored is None else self.stored.size
        return height, width


@dataclass(frozen=True)
class AdjacentFrame:
    """Camera images at another time than that of the key frame.

    Attributes:
        name: token, if this is a key frame; otherwise the names of the image files.
        cameras: images and calibrations, in the order of the key frame's cameras. Their
            ``ego_from_camera`` refers to the ego frame of the adjacent time.
        seconds: time relative to the key frame, divided by the playback rate; negative for earlier
            frames, 0 if the scene has none on this side and the key frame takes their place.
        ego_from_adjacent: (4, 4) float64, maps the ego frame of the adjacent time to the key
            frame's reference ego frame.
    """

    name: str
    cameras: tuple[CameraFrame, ...]
    seconds: float
    ego_from_adjacent: Float[Tensor, "4 4"]


def _identity() -> Tensor:
    return torch.eye(4, dtype=torch.float64)


@dataclass(frozen=True)
class Frame:
    """One key frame.

    Attributes:
        token: identifier, unique in the data set; the sample token in nuScenes.
        cameras: available images, in the order of the configured cameras.
        boxes: ground-truth boxes, reference ego frame; labels and attributes are indices into the
            source's label space. Empty if the data have no ground truth.
        scene: scene name; empty for a single frame, which forms a scene of its own.
        timestamp: microseconds.
        global_from_ego: (4, 4) float64, the reference ego pose.
        num_points: (M,) lidar and radar points in each box; None if unknown.
        instances: (M,) number of the tracked object of each box, the same in all frames of a scene;
            None if unknown.
        lidar_path: LIDAR_TOP file (possibly missing on disk), or None without lidar.
        ego_from_lidar: (4, 4) float64; the identity without lidar.
        adjacent: adjacent frames, in the order of ``AdjacentConfig.offsets``.
    """

    token: str
    cameras: tuple[CameraFrame, ...]
    boxes: Boxes3D = field(default_factory=Boxes3D.empty)
    scene: str = ""
    timestamp: int = 0
    global_from_ego: Float[Tensor, "4 4"] = field(default_factory=_identity)
    num_points: Int[Tensor, " M"] | None = None
    instances: Int[Tensor, " M"] | None = None
    lidar_path: Path | None = None
    ego_from_lidar: Float[Tensor, "4 4"] = field(default_factory=_identity)
    adjacent: tuple[AdjacentFrame, ...] = ()

    def counted(self, min_points: int) -> Bool[Tensor, " M"]:
        """Mask of boxes with at least ``min_points`` points; all boxes if points are unknown."""
        if self.num_points is None:
            return torch.ones(len(self.boxes), dtype=torch.bool)
        return self.num_points >= min_points

    @property
    def shows_other_times(self) -> bool:
        """True if an adjacent frame at another time has an image of one of the cameras."""
        own = {camera.name for camera in self.cameras}
        return any(
            other.seconds != 0 and any(camera.name in own for camera in other.cameras)
            for other in self.adjacent
        )

    @property
    def has_lidar(self) -> bool:
        """True if the lidar file exists on disk."""
        return self.lidar_path is not None and present(self.lidar_path).is_file()

    def load_lidar(self) -> Float[Tensor, "P 3"]:
        """Load the lidar points, reference ego frame, metres (float32).

        Raises:
            DataError: if the sample has no lidar, or the file is missing, damaged or implausible
                (``bev.data.lidar``).
        """
        if self.lidar_path is None:
            raise DataError(f"Sample {self.token} has no lidar; switch it off (--data.no-lidar).")
        if not present(self.lidar_path).is_file():
            raise DataError(
                f"Lidar file {self.lidar_path} of sample {self.token} is missing; restore it, or"
                " use a config that needs no lidar (--data.no-lidar,"
                " --model.depth-supervision.weight 0)."
            )
        points = torch.from_numpy(read_lidar(self.lidar_path, self.token).astype(np.float64))
        matrix = self.ego_from_lidar
        return (points @ matrix[:3, :3].T + matrix[:3, 3]).float()
