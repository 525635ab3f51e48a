"""The truth of BEV segmentation, as it comes with each sample: areas around the car."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bev.data.frame import Frame
from bev.data.nuscenes.classes import LAYERS, VEHICLE
from bev.data.nuscenes.frames import Frames
from bev.data.nuscenes.maps import MapLayers
from bev.errors import ConfigError
from bev.geometry import Outlines

_LINE_WIDTH = 1.0  # metres, of dividers


@dataclass(frozen=True)
class OutlineConfig:
    """Which areas come with each sample.

    Attributes:
        layers: of ``bev.data.nuscenes.classes.LAYERS``; all but "vehicle" need nuScenes' map
            expansion. None where nothing is segmented.
        reach: metres ahead, behind and beside the car within which maps are whole.
    """

    layers: tuple[str, ...] = ()
    reach: float = 80.0

    def __post_init__(self) -> None:
        for name in self.layers:
            if name not in LAYERS or self.layers.count(name) > 1:
                why = "unknown" if name not in LAYERS else "named twice"
                raise ConfigError(f"data.outlines.layers: {name!r} is {why}; known: {LAYERS}.")
        if self.reach <= 0:
            raise ConfigError(f"data.outlines.reach = {self.reach} must be above 0 m.")

    @property
    def map_layers(self) -> tuple[str, ...]:
        """Those of the map expansion."""
        return tuple(name for name in self.layers if name != VEHICLE)


class OutlineReader:
    """The areas of frames; a layer's map is read once.

    Args:
        config: settings.
        root: folder of the data set.
        version: nuScenes version.
        frames: to be asked for; their maps are read at once where map layers are asked for.

    Raises:
        DataError: where a map that is needed is missing or damaged.
    """

    def __init__(
        self, config: OutlineConfig, root: Path, version: str, frames: Sequence[Frame]
    ) -> None:
        self.config, layers = config, config.map_layers
        self.maps = MapLayers(root, version, layers, _LINE_WIDTH, config.reach)
        if layers:
            known = frames.scenes if isinstance(frames, Frames) else [f.scene for f in frames]
            self.maps.read(known)

    def of(self, frame: Frame) -> Outlines:
        """In the frame's reference ego frame."""
        outlines = self.maps.around(frame.scene, frame.global_from_ego)
        if VEHICLE not in self.config.layers:
            return outlines
        vehicles = Outlines.of_boxes(frame.vehicles, LAYERS.index(VEHICLE))
        return Outlines.cat([outlines, vehicles])
