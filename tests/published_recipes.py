"""Values of the published recipes, by field of our configs; ``recipes_page`` compares them.

From the authors' code: BEVDet (branches master, dev2.0 and dev2.1), BEVDepth, Lift-Splat-Shoot and
Simple-BEV. Where code and paper differ, the value is that of the code.
"""

from functools import partial

import torch
from torch.optim.lr_scheduler import ConstantLR, MultiStepLR

from bev.data.nuscenes.classes import CLASSES, NUSCENES
from bev.training.settings import OptimizerCall, ScheduleCall, StageConfig


def _schedule(*steps: float) -> ScheduleCall:
    given = partial(MultiStepLR, milestones=steps) if steps else partial(ConstantLR, factor=1.0)
    return ScheduleCall.of(given, "train.schedule")


def _optimizer(kind: type) -> OptimizerCall:
    return OptimizerCall.of(kind, "train.optimizer")


_TASKS = {
    "model.head.tasks": NUSCENES.tasks,
    "model.head.decode.nms_rescale_factor": (1.0, 0.7, 0.7, 0.4, 0.55, 1.1, 1.0, 1.0, 4.5, 9.0),
    "model.head.decode.nms_overlap": (0.2,) * 8 + (0.5, 0.5),
    "model.head.decode.post_max_size": 83,
    "model.head.decode.distance": ("barrier",),
}
_ONE_TASK = {
    "model.head.tasks": (CLASSES,),
    "model.head.decode.nms_rescale_factor": (1.0, 0.7, 0.7, 0.4, 0.55, 1.1, 1.0, 1.0, 1.5, 3.5),
    "model.head.decode.nms_overlap": (0.2,) * 10,
    "model.head.decode.post_max_size": 500,
    "model.head.decode.distance": (),
}
_NARROW = {"model.view.channels": 64, "model.encoder.stages": (128, 256, 512)}
_BGR = {  # of red, green and blue: BGR images were normalised with the values of RGB
    "model.backbone.mean": (103.53, 116.28, 123.675),
    "model.backbone.std": (57.375, 57.12, 58.395),
}
_RGB = {"model.backbone.mean": (), "model.backbone.std": ()}  # ImageNet's

DEV20 = {
    "model.backbone.name": "resnet50.tv_in1k",
    "model.backbone.pretrained": True,
    "model.backbone.strides": (16, 32),
    "model.backbone.frozen_stages": 0,
    "model.backbone.checkpointing": True,
    **_BGR,
    "model.neck.channels": 512,
    "model.grid.x": (-51.2, 51.2, 0.8),
    "model.grid.y": (-51.2, 51.2, 0.8),
    "model.grid.z": (-5.0, 3.0, 8.0),
    "model.view.depth.lo": 1.0,
    "model.view.depth.hi": 60.0,
    "model.view.depth.step": 1.0,
    "model.view.depth.spacing": "uniform",
    "model.view.depth_net.hidden": 0,
    "model.view.channels": 80,
    "model.view.frustum": "corners",
    "model.view.truncate": True,
    "model.temporal.num_adjacent": 0,
    "model.encoder.stages": (160, 320, 640),
    "model.encoder.blocks": 2,
    "model.encoder.neck": 512,
    "model.encoder.channels": 256,
    "model.encoder.skip": False,
    "model.encoder.checkpointing": False,
    **_TASKS,
    "model.head.shared": 64,
    "model.head.branch": 64,
    "model.head.prior": 0.1,
    "model.head.gaussian_overlap": 0.1,
    "model.head.min_radius": 2,
    "model.head.heatmap_loss.kind": "gaussian",
    "model.head.heatmap_loss.focus": 2.0,
    "model.head.heatmap_loss.spare": 4.0,
    "model.head.heatmap_weight": 1.0,
    "model.head.regression_weight": 0.25,
    "model.head.velocity_weight": 0.2,
    "model.head.velocity_beta": 0.0,
    "model.head.attribute_weight": 0.0,
    "model.head.direction_bins": 1,
    "model.head.decode.pre_max_size": 500,
    "model.head.decode.window": 1,
    "model.head.decode.score": 0.1,
    "model.head.decode.range": 61.2,
    "model.head.decode.nms": "rotated",
    "model.head.decode.by_class": False,
    "model.head.decode.max_boxes": 500,
    "model.depth_supervision.weight": 0.0,
    "model.flip_tta": False,
    "data.sampling.by": "frame",
    "data.drop_cameras": 0,
    "data.adjacent.previous": 0,
    "data.adjacent.following": 0,
    "data.reference": "ego",
    "data.image_size": (256, 704),
    "data.image_augmentation.scale": (-0.06, 0.11),
    "data.image_augmentation.crop_top": (0.0, 0.0),
    "data.image_augmentation.random_left": True,
    "data.image_augmentation.narrow_left": True,
    "data.image_augmentation.flip": "independent",
    "data.image_augmentation.rotation": 5.4,
    "data.bev_augmentation.rotation": 22.5,
    "data.bev_augmentation.scale": (0.95, 1.05),
    "data.bev_augmentation.flip_x": True,
    "data.bev_augmentation.flip_y": True,
    "data.test_scale": 0.0,
    "data.min_points": 1,
    "data.lidar": False,
    "data.batch_size": 8,
    "train.epochs": 24,
    "train.max_steps": -1,
    "train.optimizer": _optimizer(torch.optim.AdamW),
    "train.lr": 2e-4,
    "train.lr_batch": 64,
    "train.weight_decay": 1e-7,
    "train.warmup_steps": 200,
    "train.schedule": _schedule(),
    "train.stages": (StageConfig(),),
    "train.max_grad_norm": 5.0,
    "train.accumulate": 1,
    "train.ema": 0.999,
    "train.ema_start": 10_560,
    "train.precision": "32",
    "train.devices": 8,
}
DEV20_CBGS = DEV20 | {
    "data.sampling.by": "class", "train.epochs": 20, "train.weight_decay": 1e-2,
}  # fmt: skip
DEV21 = DEV20 | _NARROW | _ONE_TASK | {"model.neck.channels": 256}
FIRST = DEV20 | _NARROW | _RGB | {
    "model.grid.z": (-10.0, 10.0, 20.0),
    "data.reference": "lidar",
    "data.test_scale": 0.04,
    "data.sampling.by": "class",
    "train.weight_decay": 1e-2,
    "train.warmup_steps": 500,
    "train.schedule": _schedule(16 / 24, 22 / 24),
    "train.max_grad_norm": 0.0,
    "train.ema": 0.0,
}  # fmt: skip
_DEPTH_NET = {
    "model.view.depth_net.width": 512,
    "model.view.depth_net.blocks": 3,
    "model.view.depth_net.aspp": True,
    "model.view.depth_net.batch_norm": True,
    "model.view.depth_net.parameters": "published",
    "model.depth_supervision.weight": 3.0,
    "model.depth_supervision.loss": "bce",
    "data.lidar": True,
}
_TWO_FRAMES = {
    "model.temporal.num_adjacent": 1,
    "model.temporal.gradient": False,
    "model.temporal.times": False,
    "model.head.velocity_weight": 1.0,
    "data.adjacent.previous": 1,
    "data.adjacent.step": 1.0,
    "data.adjacent.unit": "key_frames",
}
BEVDET4D = {
    k: v for k, v in DEV20_CBGS.items() if k != "model.view.depth_net.hidden"
} | _ONE_TASK | _DEPTH_NET | _TWO_FRAMES | {
    "model.view.depth.step": 0.5,
    "model.view.depth_net.aspp_width": 96,
    "model.view.depth_net.deformable": False,
    "model.temporal.blocks": 2,
    "model.temporal.projection": True,
    "model.head.heatmap_weight": 6.0,
    "model.head.regression_weight": 1.5,
    "train.stages": (StageConfig(adjacent=False), StageConfig(start=3 / 20)),
}  # fmt: skip
_NOT_IN_BEVDEPTH = (
    "model.view.depth_net.hidden", "model.encoder.neck", "model.encoder.skip",
)  # fmt: skip
BEVDEPTH_1KEY = {k: v for k, v in DEV20.items() if k not in _NOT_IN_BEVDEPTH} | _DEPTH_NET | {
    "model.backbone.strides": (4, 8, 16, 32),
    "model.backbone.checkpointing": False,
    "model.neck.channels": 128,
    "model.neck.stride": 16,
    "model.neck.eps": 1e-3,
    "model.view.depth.lo": 2.0,
    "model.view.depth.hi": 58.0,
    "model.view.depth.step": 0.5,
    "model.view.depth_net.aspp_width": 0,
    "model.view.depth_net.deformable": True,
    "model.encoder.eps": 1e-3,
    "model.head.velocity_weight": 0.5,
    "model.head.decode.nms": "circle",
    "model.head.decode.distance": (),
    "data.image_augmentation.scale": (-0.054, 0.11),
    "train.warmup_steps": 0,
    "train.schedule": _schedule(19 / 24, 23 / 24),
    "train.stages": (StageConfig(frozen=("backbone.body.conv1", "backbone.body.bn1")),),
    "train.ema_start": 28_130 * 24,
    "train.precision": "16",
}  # fmt: skip
BEVDEPTH_2KEY = BEVDEPTH_1KEY | _TWO_FRAMES | {"model.temporal.blocks": 0}

_VEHICLES = {
    "model.head.tasks": (),
    "model.segmentation.layers": ("vehicle",),
    "data.polygons.layers": ("vehicle",),
}
LSS = {
    k: v for k, v in DEV20.items() if not k.startswith("model.head.") and k != "data.min_points"
} | _VEHICLES | _RGB | {
    "model.backbone.name": "tf_efficientnet_b0.aa_in1k",
    "model.backbone.checkpointing": False,
    "model.grid.x": (-50.0, 50.0, 0.5),
    "model.grid.y": (-50.0, 50.0, 0.5),
    "model.grid.z": (-10.0, 10.0, 20.0),
    "model.view.depth.lo": 4.0,
    "model.view.depth.hi": 45.0,
    "model.view.channels": 64,
    "model.encoder.stages": (64, 128, 256),
    "model.encoder.neck": 256,
    "model.encoder.channels": 128,
    "model.segmentation.hidden": 0,
    "model.segmentation.loss": "bce",
    "model.segmentation.positive_weight": 2.13,
    "model.segmentation.min_visibility": 1,
    "data.drop_cameras": 1,
    "data.image_size": (128, 352),
    "data.image_augmentation.scale": (-0.054, 0.01),
    "data.image_augmentation.crop_top": "0 to 0.22 of the image height",
    "data.bev_augmentation.rotation": 0.0,
    "data.bev_augmentation.scale": (1.0, 1.0),
    "data.bev_augmentation.flip_x": False,
    "data.bev_augmentation.flip_y": False,
    "data.batch_size": 4,
    "train.epochs": "until stopped",
    "train.max_steps": 300_000,
    "train.optimizer": _optimizer(torch.optim.Adam),
    "train.lr": 1e-3,
    "train.lr_batch": 0,
    "train.warmup_steps": 0,
    "train.ema": 0.0,
    "train.devices": 1,
}  # fmt: skip
SIMPLEBEV = _VEHICLES | {
    "model.backbone.name": "resnet101.tv_in1k",
    "model.backbone.pretrained": True,
    "model.backbone.strides": (8, 16),
    "model.view.z": (-5.0, 5.0, 1.25),
    "model.view.channels": 128,
    "data.image_size": (448, 800),
}

RECIPES = {
    "bevdet_r50": DEV20,
    "bevdet_r50_cbgs": DEV20_CBGS,
    "bevdet_r50_dev20": DEV20,
    "bevdet_r50_dev21": DEV21,
    "bevdet_r50_first": FIRST,
    "bevdet4d_depth_r50": BEVDET4D,
    "bevdepth_r50": BEVDEPTH_2KEY,
    "bevdepth_r50_2key": BEVDEPTH_2KEY,
    "bevdepth_r50_1key": BEVDEPTH_1KEY,
    "lss_seg_effb0": LSS,
    "simplebev_r50": SIMPLEBEV,
}
