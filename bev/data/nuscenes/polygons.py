"""The areas around a nuScenes key frame: layers of its map, and vehicles."""

from collections.abc import Sequence
from pathlib import Path

from bev.data.nuscenes.classes import LAYERS, VEHICLE
from bev.data.nuscenes.frame import NuScenesFrame
from bev.data.nuscenes.maps import MapLayers
from bev.data.polygons import PolygonConfig
from bev.geometry import Polygons

_LINE_WIDTH = 1.0  # metres, of dividers


class PolygonReader:
    """From a frame to its areas, in its reference ego frame; a layer's map is read once.

    Args:
        config: settings.
        root: folder of the data set.
        version: nuScenes version.
        scenes: of frames to be asked for; their maps are read at once where layers of maps are
            asked for.

    Raises:
        DataError: where a map that is needed is missing or damaged.
    """

    def __init__(
        self, config: PolygonConfig, root: Path, version: str, scenes: Sequence[str]
    ) -> None:
        self.config = config
        layers = tuple(name for name in config.layers if name != VEHICLE)
        self.maps = MapLayers(root, version, layers, _LINE_WIDTH, config.reach)
        if layers:
            self.maps.read(scenes)

    def __call__(self, frame: NuScenesFrame) -> Polygons:
        polygons = self.maps.around(frame.scene, frame.global_from_ego)
        if VEHICLE not in self.config.layers:
            return polygons
        vehicles = Polygons.of_boxes(frame.vehicles, LAYERS.index(VEHICLE))
        return Polygons.cat([polygons, vehicles])
