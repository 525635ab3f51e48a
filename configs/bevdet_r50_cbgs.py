"""BEVDet with class-balanced sampling (CBGS, Zhu et al. 2019), 20 epochs, as published.

Published by others on nuScenes val, mAP / NDS:

    BEVDet-R50 dev2.0, CBGS, 20 epochs          30.7 / 38.2

Deviations are those of ``bevdet_r50``. Measured here on nuScenes: nothing yet; no full data set was
at hand.
"""

from dataclasses import replace

from bevdet_r50 import config as base

from bev.data.sampling import SamplingConfig

config = replace(
    base,
    data=replace(base.data, sampling=SamplingConfig("class")),
    train=replace(base.train, epochs=20, weight_decay=1e-2),
)
