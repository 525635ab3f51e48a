"""Polygons around a nuScenes key frame: map layers and vehicles."""

from collections.abc import Sequence
from pathlib import Path

from bev.data.frame import Frame
from bev.data.nuscenes.classes import LAYERS, VEHICLE
from bev.data.nuscenes.frame import NuScenesFrame
from bev.data.nuscenes.maps import MapLayers
from bev.data.polygons import PolygonConfig
from bev.errors import DataError
from bev.geometry import Polygons

_LINE_WIDTH = 1.0  # of dividers, metres


class PolygonReader:
    """Function from a frame to its polygons, reference ego frame; each map is read once.

    Args:
        config: settings of the polygons.
        root: folder of the data set.
        version: nuScenes version.
        scenes: names of the scenes of the frames; their maps are read at once if map layers are
            configured.

    Raises:
        DataError: if a required map is missing or damaged.
    """

    def __init__(
        self, config: PolygonConfig, root: Path, version: str, scenes: Sequence[str]
    ) -> None:
        self.config = config
        layers = tuple(name for name in config.layers if name != VEHICLE)
        self.maps = MapLayers(root, version, layers, _LINE_WIDTH, config.reach)
        if layers:
            self.maps.read(scenes)

    def __call__(self, frame: Frame) -> Polygons:
        polygons = self.maps.around(frame.scene, frame.global_from_ego)
        if VEHICLE not in self.config.layers:
            return polygons
        if not isinstance(frame, NuScenesFrame):
            raise DataError(
                f"Frame {frame.token!r} is a {type(frame).__name__}; layer {VEHICLE!r} needs a"
                " NuScenesFrame."
            )
        vehicles = Polygons.of_boxes(frame.vehicles, LAYERS.index(VEHICLE))
        return Polygons.cat([polygons, vehicles])
