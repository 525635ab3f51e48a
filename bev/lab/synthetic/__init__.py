"""A synthetic driving world, written to disk as a nuScenes data set.

    from bev.lab.synthetic import PRESETS, make_world
    root = make_world(Path("data/synthetic"), PRESETS["tiny"])

Nothing outside this package knows that the data is made: nuscenes-devkit reads it like any other.
The data's way through the package: ``scene`` (what is there) -> ``ground_truth`` (lidar, visibility) ->
``render`` (images) -> ``scene_writer`` and ``world`` (files).
"""

from bev.lab.synthetic.config import PRESETS, TRAIN_SPLIT, VAL_SPLIT, VERSION, WorldConfig
from bev.lab.synthetic.world import find_world, make_world

__all__ = [
    "PRESETS",
    "TRAIN_SPLIT",
    "VAL_SPLIT",
    "VERSION",
    "WorldConfig",
    "find_world",
    "make_world",
]
