"""nuScenes, and data in its format, as a data source: the default."""

from dataclasses import dataclass

from bev.data.labels import LabelSpace
from bev.data.nuscenes.classes import NUSCENES
from bev.data.source import SourceConfig

CAMERAS = (
    "CAM_FRONT_LEFT",
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_BACK_LEFT",
    "CAM_BACK",
    "CAM_BACK_RIGHT",
)


@dataclass(frozen=True)
class NuScenesConfig(SourceConfig):
    """The data set at ``data.root``, in the tables of ``data.version``."""

    @property
    def labels(self) -> LabelSpace:
        return NUSCENES

    @property
    def cameras(self) -> tuple[str, ...]:
        return CAMERAS
