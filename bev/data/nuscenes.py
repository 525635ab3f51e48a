"""nuScenes key frames, read through nuscenes-devkit.

The idea: everything the rest of the project wants to know of a key frame stands in one ``Frame``,
in the sample's reference ego frame. Each camera keeps its own ego pose: ``ego_from_camera`` carries
the motion of the car between the camera's time and the reference time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.splits import get_scenes_of_split, is_predefined_split
from torch import Tensor

from bev.data.nuscenes_boxes import pose_matrix, truth_boxes
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

_SPLITS_OF_VERSION = {
    "v1.0-trainval": ("train", "val"),
    "v1.0-mini": ("mini_train", "mini_val"),
    "v1.0-test": ("test", "test"),
    "v1.0-synthetic": ("synthetic_train", "synthetic_val"),
}


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


def default_splits(version: str) -> tuple[str, str]:
    """The usual (training, validation) split names of a version.

    Raises:
        DataError: where the version is none of nuScenes' own.
    """
    for known, splits in _SPLITS_OF_VERSION.items():
        if version == known or version.endswith(known.split("-")[1]):
            return splits
    raise DataError(
        f"Version {version} has no usual splits; name them: --data.train-split, --data.val-split."
    )


@lru_cache(maxsize=4)
def open_nuscenes(root: Path, version: str) -> NuScenes:
    """The devkit's tables, opened once per process.

    Raises:
        DataError: where the root or the version folder is missing or incomplete.
    """
    if not root.is_dir() and version == "v1.0-synthetic":
        raise DataError(
            f"Data root {root} does not exist; make it: python tools/make_synthetic.py {root}"
        )
    if not root.is_dir():
        raise DataError(
            f"Data root {root} does not exist; --data.root must name a folder that holds"
            f" {version}/, samples/ and maps/."
        )
    if not (root / version).is_dir():
        found = sorted(p.parent.name for p in root.glob("*/sample_data.json"))
        raise DataError(
            f"Data root {root} holds no version {version} (found: {', '.join(found) or 'none'});"
            " set --data.version."
        )
    try:
        return NuScenes(version=version, dataroot=str(root), verbose=False)
    except (OSError, ValueError, AssertionError, KeyError) as error:
        raise DataError(
            f"The tables in {root / version} cannot be opened ({error}); fetch them again."
        ) from error


def split_samples(nusc: NuScenes, split: str) -> list[dict]:
    """The rows of ``sample`` of a split (official, or of the version's ``splits.json``), in order.

    Raises:
        DataError: where the split is unknown or the data set has no sample of it.
    """
    where = Path(nusc.dataroot) / nusc.version
    try:
        scenes = set(get_scenes_of_split(split, nusc))
    except (ValueError, AssertionError) as error:
        raise DataError(
            f"Split {split!r} is neither an official one nor in {where / 'splits.json'};"
            f" the usual ones of {nusc.version} are {_usual(nusc.version)}."
        ) from error
    if is_predefined_split(split) and split not in _official_splits(nusc.version):
        raise DataError(
            f"Split {split!r} does not belong to version {nusc.version}; its usual splits are"
            f" {_usual(nusc.version)}."
        )
    names = {row["token"]: row["name"] for row in nusc.scene}
    samples = [row for row in nusc.sample if names[row["scene_token"]] in scenes]
    if not samples:
        raise DataError(
            f"{where} has no sample of split {split!r}, though the split is known; the tables are"
            " incomplete, or another split is meant."
        )
    return sorted(samples, key=lambda row: (names[row["scene_token"]], row["timestamp"]))


def read_frames(nusc: NuScenes, split: str, cameras: Sequence[str] = CAMERAS) -> list[Frame]:
    """Every key frame of a split, ordered by scene and time.

    Raises:
        DataError: for an unknown split or a camera that a sample lacks.
    """
    return [read_frame(nusc, sample, cameras) for sample in split_samples(nusc, split)]


def read_frame(nusc: NuScenes, sample: dict, cameras: Sequence[str] = CAMERAS) -> Frame:
    """One key frame; the reference ego pose is LIDAR_TOP's, or CAM_FRONT's without lidar."""
    data = sample["data"]
    reference = next((name for name in ("LIDAR_TOP", "CAM_FRONT", *data) if name in data), None)
    if reference is None:
        raise DataError(f"Sample {sample['token']} has no sensor data at all.")
    reference_row = nusc.get("sample_data", data[reference])
    global_from_ego = pose_matrix(nusc.get("ego_pose", reference_row["ego_pose_token"]))
    ego_from_global = np.linalg.inv(global_from_ego)

    def ego_from_sensor(row: dict) -> np.ndarray:
        global_from_own_ego = pose_matrix(nusc.get("ego_pose", row["ego_pose_token"]))
        own_ego_from_sensor = pose_matrix(
            nusc.get("calibrated_sensor", row["calibrated_sensor_token"])
        )
        return ego_from_global @ global_from_own_ego @ own_ego_from_sensor

    frames = []
    for name in cameras:
        if name not in data:
            raise DataError(
                f"Sample {sample['token']} has no camera {name}; it has {', '.join(sorted(data))}."
            )
        row = nusc.get("sample_data", data[name])
        sensor = nusc.get("calibrated_sensor", row["calibrated_sensor_token"])
        frames.append(
            CameraFrame(
                name=name,
                path=Path(nusc.dataroot) / row["filename"],
                size=(row["height"], row["width"]),
                intrinsics=torch.tensor(sensor["camera_intrinsic"], dtype=torch.float64),
                ego_from_camera=torch.from_numpy(ego_from_sensor(row)),
            )
        )
    lidar = nusc.get("sample_data", data["LIDAR_TOP"]) if "LIDAR_TOP" in data else None
    boxes, points = truth_boxes(nusc, sample, torch.from_numpy(ego_from_global))
    return Frame(
        token=sample["token"],
        scene=nusc.get("scene", sample["scene_token"])["name"],
        timestamp=sample["timestamp"],
        cameras=tuple(frames),
        global_from_ego=torch.from_numpy(global_from_ego),
        boxes=boxes,
        points_on_box=points,
        lidar_path=Path(nusc.dataroot) / lidar["filename"] if lidar else None,
        ego_from_lidar=torch.from_numpy(ego_from_sensor(lidar) if lidar else np.eye(4)),
    )


def _official_splits(version: str) -> tuple[str, ...]:
    """The official splits that the devkit evaluates on a version (by the version's ending)."""
    if version.endswith("trainval"):
        return ("train", "val", "train_detect", "train_track")
    if version.endswith("mini"):
        return ("mini_train", "mini_val")
    return ("test",) if version.endswith("test") else ()


def _usual(version: str) -> str:
    try:
        return " and ".join(default_splits(version))
    except DataError:
        return "named in its splits.json"
