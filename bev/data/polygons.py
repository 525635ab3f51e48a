"""Settings of the polygons around the ego vehicle: the ground truth of BEV segmentation."""

from dataclasses import dataclass

from bev.bounds import Positive, check_bounds


@dataclass(frozen=True)
class PolygonConfig:
    """Settings of the polygons of each sample.

    Attributes:
        layers: names of layers of the source's label space, empty without segmentation; in
            nuScenes all layers except "vehicle" need the map expansion.
        reach: metres ahead of, behind and beside the ego vehicle within which map polygons are
            complete.
    """

    layers: tuple[str, ...] = ()
    reach: Positive = 80.0

    def __post_init__(self) -> None:
        check_bounds(self, "data.polygons")
