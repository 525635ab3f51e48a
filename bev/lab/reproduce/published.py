"""Published figures on nuScenes val, by the config that reproduces them."""

from typing import NamedTuple


class Published(NamedTuple):
    """A published row.

    Attributes:
        what: system, training and source.
        figures: figures by the name that an evaluation gives them; 0 to 1.
    """

    what: str
    figures: dict[str, float]


def _boxes(what: str, mean_ap: float, nd_score: float) -> Published:
    return Published(what, {"mAP": mean_ap, "NDS": nd_score})


_DEV20 = (
    _boxes("BEVDet-R50 dev2.0, 24 epochs", 0.278, 0.322),
    _boxes("BEVDet-R50 dev2.0, CBGS, 20 epochs", 0.307, 0.382),
)
_DEV21 = (
    _boxes("BEVDet-R50 dev2.1, 24 epochs", 0.283, 0.350),
    _boxes("BEVDet-R50 dev2.1, CBGS, 20 epochs (table)", 0.313, 0.398),
    _boxes("BEVDet-R50 dev2.1, CBGS, 20 epochs (config file)", 0.309, 0.394),
)

PUBLISHED: dict[str, tuple[Published, ...]] = {
    "bevdet_r50_first": (_boxes("BEVDet-R50, first release, CBGS", 0.299, 0.377),),
    "bevdet_r50_dev20": _DEV20,
    "bevdet_r50_dev21": _DEV21,
    "bevdet_r50": _DEV20[:1],
    "bevdet_r50_cbgs": _DEV20[1:],
    "bevdet4d_depth_r50": (_boxes("BEVDet4D-Depth-R50 dev2.1, CBGS, 20 epochs", 0.361, 0.483),),
    "bevdepth_r50_2key": (
        _boxes("BEVDepth-R50, two key frames, 24 epochs, EMA", 0.333, 0.441),
        _boxes("BEVDepth-R50, two key frames, 24 epochs", 0.330, 0.436),
    ),
    "bevdepth_r50": (_boxes("BEVDepth-R50, two key frames, 24 epochs, EMA", 0.333, 0.441),),
    "lss_seg_effb0": (
        Published("Lift-Splat-Shoot, paper", {"IoU_vehicle_opencv": 0.3207}),
        Published("Lift-Splat-Shoot, authors' repository", {"IoU_vehicle_opencv": 0.3303}),
    ),
}

# Published training that a config which reproduces none is set beside, without a verdict.
NEAREST = {"lss_r50": "bevdet_r50"}

# Standard deviation of a figure between trainings that differ in their seed alone, measured by
# others over six runs of a ResNet-50 detector.
SEED_NOISE = {"mAP": 0.0071, "NDS": 0.0027}

# Largest difference of a figure of the same weights: that of the last printed digit.
SAME_WEIGHTS = 0.001


def rows_of(config: str) -> tuple[Published, ...]:
    """Published rows of a config by its name; empty if none is known."""
    return PUBLISHED.get(NEAREST.get(config, config), ())
