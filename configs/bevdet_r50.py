"""BEVDet as published: ResNet-50, 256x704, one frame, boxes only.

``lss_r50`` without skip connection, direction bins, attribute branch and image class loss; the
frustum runs through corners instead of pixel centres, and images are flipped independently. Huang
et al. 2021; values of the dev2 code with six tasks. Published by others on nuScenes val, mAP / NDS:

    BEVDet-R50 dev2.1, 24 epochs                28.3 / 35.0

Measured here on nuScenes: nothing yet; no full data set was at hand.
"""

from dataclasses import replace

from lss_r50 import config as base

from bev.models import ImageClassHeadConfig

model = replace(
    base.model,
    view=replace(base.model.view, frustum="corners"),
    encoder=replace(base.model.encoder, skip=False),
    head=replace(base.model.head, attribute_weight=0.0, direction_bins=1, direction_weight=0.2),
    image_head=ImageClassHeadConfig(0.0),
)
flips = replace(base.data.image_augmentation, flip="independent")
config = replace(base, model=model, data=replace(base.data, image_augmentation=flips))
