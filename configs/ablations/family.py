"""The recipe family: what each part is worth on the made world, the same budget for all.

Each variant is depth-supervised lift-splat with one thing changed; 2000 steps, 8 to 10 minutes of
two cores each.
"""

from dataclasses import replace

from lss_synthetic import config as base
from view_transform import camera_aware, refined, uniform_depth, voxel_sampling

from bev.ablation import Study
from bev.config import Experiment
from bev.data.adjacent import AdjacentConfig
from bev.models import TemporalConfig

short = replace(base, train=replace(base.train, max_steps=2000, validate_every=4))


def two_frames(config: Experiment) -> Experiment:
    head = replace(config.model.head, velocity_weight=1.0)
    model = replace(config.model, head=head, temporal=TemporalConfig(frames=1))
    return replace(config, model=model, data=replace(config.data, adjacent=AdjacentConfig(1)))


study = Study(
    short,
    {
        "depth supervision": "--model.depth-weight 1",
        "lift-splat": "--model.depth-weight 0 --data.no-lidar",
        "uniform depth": uniform_depth,
        "two frames": two_frames,
        "camera-aware": camera_aware,
        "bilinear sampling": voxel_sampling,
        "backward refinement": refined,
        "independent flips": "--data.image-augmentation.flip independent",
        "no image loss": "--model.image-weight 0",
    },
)
