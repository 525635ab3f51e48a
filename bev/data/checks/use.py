"""Parts of nuScenes' format that a config uses, beyond the images and boxes of key frames."""

from dataclasses import dataclass
from typing import Literal

from bev.data.polygons import PolygonConfig
from bev.data.settings import DataConfig


@dataclass(frozen=True)
class Use:
    """Parts of the data that a config uses; the defaults if there is no config.

    Attributes:
        splits: the (training, validation) splits; empty if they are not known.
        missing_cameras: as ``data.missing_cameras``.
        sweeps: whether images between key frames are used, as adjacent frames.
        lidar_pose: whether every sample needs a ``LIDAR_TOP`` row, for its reference frame.
        polygons: map layers.
    """

    splits: tuple[str, ...] = ()
    missing_cameras: Literal["error", "skip"] = "error"
    sweeps: bool = False
    lidar_pose: bool = False
    polygons: PolygonConfig = PolygonConfig()

    @classmethod
    def of(cls, data: DataConfig) -> "Use":
        """The parts that data settings use."""
        adjacent = data.adjacent
        return cls(
            splits=data.splits,
            missing_cameras=data.missing_cameras,
            sweeps=bool(adjacent.offsets()) and adjacent.unit != "key_frames",
            lidar_pose=data.reference == "lidar",
            polygons=data.polygons,
        )


UNKNOWN = Use()  # of data without a config
