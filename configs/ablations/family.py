"""Recipe family: contribution of each part on the synthetic world, at equal numbers of steps.

Each variant is depth-supervised lift-splat with one change, or two in the variants without rays;
2000 steps, 8 to 10 minutes on two cores each.
"""

from dataclasses import replace

from lss_synthetic import config as base
from view_transform import camera_aware, dual_view, uniform_depth, voxel_sampling

from bev.config import Experiment
from bev.data.adjacent import AdjacentConfig
from bev.lab.ablation import Study
from bev.models import ImageClassHeadConfig, TemporalConfig

short = replace(base, train=replace(base.train, max_steps=2000, validate_every=4))


def supervised(config: Experiment) -> Experiment:
    """Depth-supervised lift-splat, the reference of the comparison, from any lift-splat base."""
    data = replace(
        config.data,
        lidar=True,
        image_augmentation=replace(config.data.image_augmentation, flip="mirror"),
    )
    view = replace(config.model.view, ray_features=True)
    depth = replace(config.model.depth_supervision, weight=1.0)
    image = ImageClassHeadConfig(0.5)
    model = replace(config.model, view=view, depth_supervision=depth, image_head=image)
    return replace(config, model=model, data=data)


def two_frames(config: Experiment) -> Experiment:
    head = replace(config.model.head, velocity_weight=1.0)
    model = replace(config.model, head=head, temporal=TemporalConfig(num_adjacent=1))
    return replace(config, model=model, data=replace(config.data, adjacent=AdjacentConfig(1)))


BLIND = "--model.depth-supervision.weight 0 --data.no-lidar"
NO_RAYS = "--model.view.no-ray-features"
SEGMENTATION = "--model.segmentation.layers vehicle --data.polygons.layers vehicle"

study = Study(
    short,
    {
        "depth supervision": supervised,
        "lift-splat": (supervised, BLIND),
        "depth supervision, no rays": (supervised, NO_RAYS),
        "lift-splat, no rays": (supervised, NO_RAYS, BLIND),
        "uniform depth": (supervised, uniform_depth),
        "two frames": (supervised, two_frames),
        "camera-aware": (supervised, camera_aware),
        "bilinear sampling": (supervised, voxel_sampling),
        "dual view": (supervised, dual_view),
        "independent flips": (supervised, "--data.image-augmentation.flip independent"),
        "no image loss": (supervised, "--model.image-head.weight 0"),
        "segmentation too": (supervised, SEGMENTATION),
    },
)
