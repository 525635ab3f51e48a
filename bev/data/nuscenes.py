"""nuScenes key frames, read from the index.

The idea: everything the rest of the project wants to know of a key frame stands in one ``Frame``,
in the sample's reference ego frame. Each camera keeps its own ego pose: ``ego_from_camera`` carries
the motion of the car between the camera's time and the reference time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bev.data.index import NO_ROW, Index
from bev.data.nuscenes_boxes import pose_matrix, truth_boxes
from bev.data.splits import split_rows
from bev.errors import DataError
from bev.geometry import Boxes3D

CAMERAS = (
    "CAM_FRONT_LEFT",
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_BACK_LEFT",
    "CAM_BACK",
    "CAM_BACK_RIGHT",
)


@dataclass(frozen=True)
class CameraFrame:
    """One camera's image of a key frame.

    Attributes:
        name: sensor channel, e.g. ``CAM_FRONT``.
        path: the image file.
        size: (height, width) of the image in the tables, pixels.
        intrinsics: (3, 3) float64, pixels from camera rays.
        ego_from_camera: (4, 4) float64; ego is the reference ego frame of the sample.
    """

    name: str
    path: Path
    size: tuple[int, int]
    intrinsics: Float[Tensor, "3 3"]
    ego_from_camera: Float[Tensor, "4 4"]


@dataclass(frozen=True)
class Frame:
    """One key frame.

    Attributes:
        token: the nuScenes sample token.
        scene: scene name.
        timestamp: microseconds.
        cameras: images in the order asked for.
        global_from_ego: (4, 4) float64, the reference ego pose.
        boxes: truth of the ten classes in the reference ego frame.
        points_on_box: (M,) lidar and radar points on each box.
        lidar_path: the LIDAR_TOP file (it may be missing on disk), or None without such a row.
        ego_from_lidar: (4, 4) float64; the identity without lidar.
    """

    token: str
    scene: str
    timestamp: int
    cameras: tuple[CameraFrame, ...]
    global_from_ego: Float[Tensor, "4 4"]
    boxes: Boxes3D
    points_on_box: Int[Tensor, " M"]
    lidar_path: Path | None
    ego_from_lidar: Float[Tensor, "4 4"]

    def load_lidar(self) -> Float[Tensor, "P 3"]:
        """Lidar points in the reference ego frame, metres (float32).

        Raises:
            DataError: where the sample has no lidar row, or the file is missing or damaged.
        """
        if self.lidar_path is None:
            raise DataError(f"Sample {self.token} has no LIDAR_TOP row; switch lidar off.")
        if not self.lidar_path.is_file():
            raise DataError(
                f"Lidar file {self.lidar_path} of sample {self.token} is missing; restore it, or"
                " use a config that needs no lidar (--data.no-lidar, --model.depth-weight 0)."
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


class Frames(Sequence[Frame]):
    """Key frames of an index, each made when it is asked for: the list itself takes no memory.

    Args:
        index: the opened data set.
        rows: samples, in the order to serve them.
        cameras: which images, in which order.

    A slice is of the same kind. Pickled, it is the rows and the index's place.

    Raises:
        DataError: for a camera that a sample lacks, and a sample without any camera or lidar.
    """

    def __init__(self, index: Index, rows: np.ndarray, cameras: Sequence[str] = CAMERAS) -> None:
        self.index, self.rows, self.cameras = index, rows, tuple(cameras)
        data = index.sample.data
        for name in self.cameras:
            channel = index.channels.get(name)
            lacks = rows if channel is None else rows[data[rows, channel] == NO_ROW]
            if len(lacks):
                first = int(lacks[0])
                found = sorted(n for n, c in index.channels.items() if data[first, c] != NO_ROW)
                raise DataError(
                    f"Sample {index.token_of(first)} has no camera {name}; it has"
                    f" {', '.join(found) or 'none'}."
                )
        bare = rows[(data[rows] == NO_ROW).all(axis=1)]
        if len(bare):
            raise DataError(f"Sample {index.token_of(int(bare[0]))} has no sensor data at all.")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int | slice) -> "Frame | Frames":
        if isinstance(item, slice):
            return Frames(self.index, self.rows[item], self.cameras)
        return read_frame(self.index, int(self.rows[item]), self.cameras)


def read_frames(index: Index, split: str, cameras: Sequence[str] = CAMERAS) -> Frames:
    """Every key frame of a split, ordered by scene and time.

    Raises:
        DataError: for an unknown split or a camera that a sample lacks.
    """
    return Frames(index, split_rows(index, split), cameras)


def reference_row(index: Index, sample: int) -> int:
    """The reading whose ego pose is a sample's: LIDAR_TOP's, CAM_FRONT's, or the table's first.

    Returns:
        A row of ``sample_data``.
    """
    rows = index.sample.data[sample]
    for name in ("LIDAR_TOP", "CAM_FRONT"):
        channel = index.channels.get(name)
        if channel is not None and rows[channel] != NO_ROW:
            return int(rows[channel])
    return int(rows[rows != NO_ROW].min())


def read_frame(index: Index, sample: int, cameras: Sequence[str] = CAMERAS) -> Frame:
    """One key frame, of a sample's row; the cameras must be there (see :class:`Frames`)."""
    data, sensors = index.sample_data, index.calibrated_sensor
    reference = reference_row(index, sample)
    global_from_ego = pose_matrix(data.translation[reference], data.rotation[reference])
    ego_from_global = np.linalg.inv(global_from_ego)

    def ego_from_sensor(row: int) -> np.ndarray:
        global_from_own_ego = pose_matrix(data.translation[row], data.rotation[row])
        mounting = data.calibrated_sensor[row]
        own_ego_from_sensor = pose_matrix(sensors.translation[mounting], sensors.rotation[mounting])
        return ego_from_global @ global_from_own_ego @ own_ego_from_sensor

    def row_of(channel: str) -> int:
        return int(index.sample.data[sample, index.channels[channel]])

    frames = []
    for name in cameras:
        row = row_of(name)
        intrinsics = sensors.camera_intrinsic[data.calibrated_sensor[row]]
        frames.append(
            CameraFrame(
                name=name,
                path=index.root / data.filename[row].decode(),
                size=(int(data.height[row]), int(data.width[row])),
                intrinsics=torch.from_numpy(intrinsics.copy()),
                ego_from_camera=torch.from_numpy(ego_from_sensor(row)),
            )
        )
    lidar = row_of("LIDAR_TOP") if "LIDAR_TOP" in index.channels else NO_ROW
    has_lidar = lidar != NO_ROW
    boxes, points = truth_boxes(index, sample, torch.from_numpy(ego_from_global))
    return Frame(
        token=index.token_of(sample),
        scene=index.scene.name[index.sample.scene[sample]].decode(),
        timestamp=int(index.sample.timestamp[sample]),
        cameras=tuple(frames),
        global_from_ego=torch.from_numpy(global_from_ego),
        boxes=boxes,
        points_on_box=points,
        lidar_path=index.root / data.filename[lidar].decode() if has_lidar else None,
        ego_from_lidar=torch.from_numpy(ego_from_sensor(lidar) if has_lidar else np.eye(4)),
    )
