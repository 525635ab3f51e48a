"""BEVDet as published: ResNet-50, 256x704, one frame, boxes only.

``lss_r50`` without skip connection, direction bins, attribute branch and image class loss; the
frustum runs through corners instead of pixel centres, images are flipped independently, and the
backbone starts from torchvision's first weights. Huang et al. 2021; values of the dev2.0 code with
six tasks. Published by others on nuScenes val, mAP / NDS:

    BEVDet-R50 dev2.0, 24 epochs                27.8 / 32.2

Deviations: points below a range of the grid are left out, not counted in its first cell; images
that shrink below the network's width are centred, not left at the left edge, are warped once with
OpenCV, and are normalised as RGB; the ego frame is that of LIDAR_TOP, not of a front camera;
unknown velocities are masked, not 0; layers without published weights start as PyTorch's do;
decoding takes 3x3 maxima, suppresses barriers by IoU and has no limit of 10 m in height; results
are written with the centres of boxes, not with bottom centres moved up in global coordinates;
activations are stored, not recomputed; GPUs compute in bf16. Measured here on nuScenes: nothing
yet; no full data set was at hand.
"""

from dataclasses import replace

from lss_r50 import config as base

from bev.models import ImageClassHeadConfig

model = replace(
    base.model,
    backbone=replace(base.model.backbone, name="resnet50.tv_in1k"),
    view=replace(base.model.view, frustum="corners"),
    encoder=replace(base.model.encoder, skip=False),
    head=replace(base.model.head, attribute_weight=0.0, direction_bins=1, direction_weight=0.2),
    image_head=ImageClassHeadConfig(0.0),
)
flips = replace(base.data.image_augmentation, flip="independent")
config = replace(base, model=model, data=replace(base.data, image_augmentation=flips))
