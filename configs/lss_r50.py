"""Lift-splat detection, ResNet-50, 256x704, one frame: the project's default.

From the BEVDet single-frame recipe (Huang et al. 2021; dev2.1 values). Published by others on
nuScenes val (mAP / NDS): BEVDet-R50 dev2.1 without CBGS, 24 epochs: 28.3 / 35.0. Measured here on
nuScenes: nothing yet (no full data set was at hand).
"""

from bev.config import Experiment

config = Experiment()
