"""A key frame of a data source: its cameras, their calibration, ground truth, and adjacent frames.

Every pose leads to the frame's reference ego frame, see ``Frame.global_from_ego``.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bev.errors import DataError
from bev.geometry import Boxes3D, Lens, Pinhole

Reference = Literal["ego", "lidar"]
"""Whose frame a sample is described in: the car's, or the LIDAR_TOP sensor's own."""


@dataclass(frozen=True)
class CameraFrame:
    """One camera's image.

    Attributes:
        name: sensor channel, e.g. ``CAM_FRONT``.
        path: the image file.
        size: (height, width) of the image, pixels.
        intrinsics: (3, 3) float64, pixels from the lens's plane (a pinhole's: from camera rays).
        ego_from_camera: (4, 4) float64; ego is the reference ego frame.
        lens: the camera model, of this one camera, float64.
    """

    name: str
    path: Path
    size: tuple[int, int]
    intrinsics: Float[Tensor, "3 3"]
    ego_from_camera: Float[Tensor, "4 4"]
    lens: Lens = Pinhole()


@dataclass(frozen=True)
class AdjacentFrame:
    """Images of the cameras at another time than the key frame's.

    Attributes:
        name: token of a key frame, else the names of the image files.
        cameras: images, in the order of the key frame's.
        seconds: time since the key frame, as it is told where scenes are played at other rates;
            negative for earlier ones, 0 where the scene has none.
        ego_from_adjacent: (4, 4) float64, the key frame's reference ego frame from this one's own,
            which the cameras' ``ego_from_camera`` lead to.
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
        token: its name, unique in the data set; nuScenes' sample token.
        cameras: the images that there are, in the order asked for.
        boxes: ground truth in the reference ego frame; labels and attributes are places in the
            source's label space. None of them where the data have no ground truth.
        scene: scene name; empty for a frame that stands alone, a scene of its own.
        timestamp: microseconds.
        global_from_ego: (4, 4) float64, the reference ego pose.
        num_points: (M,) lidar and radar points on each box; None where nobody counted them.
        lidar_path: the LIDAR_TOP file (it may be missing on disk), or None without lidar.
        ego_from_lidar: (4, 4) float64; the identity without lidar.
        adjacent: frames before and after, as asked for.
    """

    token: str
    cameras: tuple[CameraFrame, ...]
    boxes: Boxes3D = field(default_factory=Boxes3D.empty)
    scene: str = ""
    timestamp: int = 0
    global_from_ego: Float[Tensor, "4 4"] = field(default_factory=_identity)
    num_points: Int[Tensor, " M"] | None = None
    lidar_path: Path | None = None
    ego_from_lidar: Float[Tensor, "4 4"] = field(default_factory=_identity)
    adjacent: tuple[AdjacentFrame, ...] = ()

    def counted(self, min_points: int) -> Bool[Tensor, " M"]:
        """Boxes with at least so many lidar and radar points; all where nobody counted them."""
        if self.num_points is None:
            return torch.ones(len(self.boxes), dtype=torch.bool)
        return self.num_points >= min_points

    @property
    def shows_other_times(self) -> bool:
        """Whether an adjacent frame is of another time and has one of its cameras."""
        own = {camera.name for camera in self.cameras}
        return any(
            other.seconds != 0 and any(camera.name in own for camera in other.cameras)
            for other in self.adjacent
        )

    @property
    def has_lidar(self) -> bool:
        """Whether its lidar file is on disk."""
        return self.lidar_path is not None and self.lidar_path.is_file()

    def load_lidar(self) -> Float[Tensor, "P 3"]:
        """Lidar points in the reference ego frame, metres (float32).

        Raises:
            DataError: where the sample has no lidar row, or the file is missing or damaged.
        """
        if self.lidar_path is None:
            raise DataError(f"Sample {self.token} has no lidar; switch it off (--data.no-lidar).")
        if not self.lidar_path.is_file():
            raise DataError(
                f"Lidar file {self.lidar_path} of sample {self.token} is missing; restore it, or"
                " use a config that needs no lidar (--data.no-lidar,"
                " --model.depth-supervision.weight 0)."
            )
        values = np.fromfile(self.lidar_path, dtype=np.float32)
        if len(values) == 0 or len(values) % 5:
            raise DataError(
                f"Lidar file {self.lidar_path} holds {len(values)} numbers, not rows of 5; it is"
                " damaged: fetch it again."
            )
        points = torch.from_numpy(values.reshape(-1, 5)[:, :3].astype(np.float64))
        matrix = self.ego_from_lidar
        return (points @ matrix[:3, :3].T + matrix[:3, 3]).float()
