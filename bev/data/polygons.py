"""Which areas around the car come with each sample: the ground truth of BEV segmentation."""

from dataclasses import dataclass

from bev.errors import ConfigError


@dataclass(frozen=True)
class PolygonConfig:
    """Which areas come with each sample.

    Attributes:
        layers: of the source's label space; in nuScenes all but "vehicle" need the map expansion.
            None where nothing is segmented.
        reach: metres ahead, behind and beside the car within which maps are whole.
    """

    layers: tuple[str, ...] = ()
    reach: float = 80.0

    def __post_init__(self) -> None:
        if self.reach <= 0:
            raise ConfigError(f"data.polygons.reach = {self.reach} must be above 0 m.")
