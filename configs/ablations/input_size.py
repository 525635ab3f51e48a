"""Input size: height and width of the network's images, pixels."""

from lss_synthetic import config as base

from bev.ablation import Study, vary

study = Study(base, vary("data.image_size", "128 352", "64 176", "192 528", "256 704"))
