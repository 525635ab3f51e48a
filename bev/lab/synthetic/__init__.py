"""A synthetic driving world, written to disk as a nuScenes data set.

    from bev.lab.synthetic import PRESETS, make_world
    root = make_world(Path("data/synthetic"), PRESETS["tiny"])

The data set needs no special treatment: nuscenes-devkit reads it like any other. Order of the
generation: ``scene`` (objects and motion) -> ``ground_truth`` (lidar, visibility) -> ``render``
(images) -> ``scene_writer`` and ``world`` (files).
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
