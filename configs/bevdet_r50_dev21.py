"""BEVDet-R50 of the dev2.1 code, for its published weights: narrower, one task of ten classes.

Rebuilds ``configs/bevdet/bevdet-r50.py`` (and ``-cbgs``) of BEVDet's dev2.1 branch. Published by
others on nuScenes val, mAP / NDS: 28.3 / 35.0, with CBGS 30.9 / 39.4 (its config file) or
31.3 / 39.8 (its table).

Deviations are those of ``bevdet_r50_dev20``.
"""

from dataclasses import replace

from bevdet_r50_dev20 import config as base

from bev.data.nuscenes.classes import CLASSES

decode = replace(
    base.model.head.decode,
    distance=(),
    nms_rescale_factor=(1.0, 0.7, 0.7, 0.4, 0.55, 1.1, 1.0, 1.0, 1.5, 3.5),
    nms_overlap=(0.2,) * 10,
    post_max_size=500,
)
model = replace(
    base.model,
    neck=replace(base.model.neck, channels=256),
    view=replace(base.model.view, channels=64),
    encoder=replace(base.model.encoder, stages=(128, 256, 512)),
    head=replace(base.model.head, tasks=(tuple(CLASSES),), decode=decode),
)
config = replace(base, model=model)
