"""Data source for nuScenes and data sets in its format; the default source."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bev.data.frame import Frame
from bev.data.labels import LabelSpace
from bev.data.nuscenes.classes import NUSCENES
from bev.data.nuscenes.frames import IndexFrames, read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.data.nuscenes.polygons import PolygonReader
from bev.data.nuscenes.sensor_data import CAMERAS
from bev.data.nuscenes.splits import default_splits, own_splits, unknown_scenes
from bev.data.source import Frames, FrameSource, SourceConfig
from bev.data.storage.remote import local_folder
from bev.errors import ConfigError
from bev.geometry import Polygons

if TYPE_CHECKING:
    import bev.data.settings


@dataclass(frozen=True)
class NuScenesConfig(SourceConfig):
    """Settings of nuScenes data: ``data.root`` with the tables of ``data.version``."""

    @property
    def labels(self) -> LabelSpace:
        return NUSCENES

    @property
    def cameras(self) -> tuple[str, ...]:
        return CAMERAS

    def splits(self, data: "bev.data.settings.DataConfig") -> tuple[str, str]:
        return default_splits(data.version)

    def polygons(
        self, data: "bev.data.settings.DataConfig", frames: Sequence[Frame]
    ) -> Callable[[Frame], Polygons]:
        scenes = frames.scenes if isinstance(frames, Frames) else [f.scene for f in frames]
        return PolygonReader(data.polygons, local_folder(data.root), data.version, scenes)

    def open(self, data: "bev.data.settings.DataConfig") -> "NuScenes":
        return NuScenes(data)


class NuScenes(FrameSource):
    """An opened data set in nuScenes' format.

    Attributes:
        index: index of the tables.

    Raises:
        DataError: see ``bev.data.nuscenes.index_cache``.
        ConfigError: if the label space has other classes than nuScenes.
    """

    def __init__(self, data: "bev.data.settings.DataConfig") -> None:
        super().__init__(data)
        if data.source.labels.names != NUSCENES.names:
            raise ConfigError(
                f"{type(data.source).__name__} reads nuScenes' tables, whose classes are"
                f" {', '.join(NUSCENES.names)}; other classes need another source."
            )
        self.index = open_index(data.root, data.version)

    def unknown_scenes(self, split: str) -> list[str]:
        named = own_splits(self.index.root / self.data.version).get(split, [])
        return unknown_scenes(self.index, named)

    def frames(self, split: str) -> IndexFrames:
        data = self.data
        return read_frames(
            self.index,
            split,
            data.camera_names,
            data.adjacent,
            data.missing_cameras,
            data.reference,
        )
