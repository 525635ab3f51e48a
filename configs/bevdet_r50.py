"""BEVDet as published: ``lss_r50`` with the published frustum, which looks through corners.

Huang et al. 2021; values of its dev2 code with six class groups. Published by others on nuScenes
val, mAP / NDS:

    BEVDet-R50 dev2.1, 24 epochs                28.3 / 35.0

Measured here on nuScenes: nothing yet; no full data set was at hand.
"""

from dataclasses import replace

from lss_r50 import config as base

view = replace(base.model.view, frustum="corners")
config = replace(base, model=replace(base.model, view=view))
