"""RoboBEV's severities, baseline and summary figures.

Xie et al., RoboBEV: Towards Robust Bird's Eye View Perception under Corruptions (2023), and the
tables of the authors' repository worldbench/RoboBEV (read in November 2026). The figures bear these
names only where the protocol is kept: nuScenes' split ``val``, its images of 1600x900, three
severities of each of the eight corruptions.
"""

from collections.abc import Mapping, Sequence

from bev.data.images.corruptions.corruption import KINDS

LEVELS = ("easy", "mid", "hard")
SEVERITIES: dict[str, tuple[int, int, int]] = {
    "CameraCrash": (2, 4, 5),
    "FrameLost": (2, 4, 5),
    "ColorQuant": (1, 2, 3),
    "MotionBlur": (2, 4, 5),
    "Brightness": (2, 4, 5),
    "LowLight": (2, 3, 4),
    "Fog": (2, 4, 5),
    "Snow": (1, 2, 3),
}
"""Severities of the three levels."""

BASELINE: dict[str, float] = {
    "CameraCrash": 0.2859,
    "FrameLost": 0.2604,
    "ColorQuant": 0.3177,
    "MotionBlur": 0.2661,
    "Brightness": 0.4002,
    "LowLight": 0.2786,
    "Fog": 0.3912,
    "Snow": 0.1913,
}
"""Mean NDS of DETR3D over the three levels on nuScenes val: the corruption errors' baseline."""


def corruption_error(kind: str, nds: Sequence[float]) -> float:
    """CE: sum of 1 - NDS over the three levels, over that of the baseline."""
    return sum(1 - one for one in nds) / (3 * (1 - BASELINE[kind]))


def resilience_rate(nds: Sequence[float], clean: float) -> float:
    """RR: sum of NDS over the three levels, over three times the NDS of clean images."""
    return sum(nds) / (3 * clean)


def mean_corruption_error(nds: Mapping[str, Sequence[float]]) -> float:
    """mCE: mean corruption error of all eight corruptions; 1 is the baseline's.

    Args:
        nds: NDS at the three levels, by corruption.
    """
    return sum(corruption_error(kind, nds[kind]) for kind in KINDS) / len(KINDS)


def mean_resilience_rate(nds: Mapping[str, Sequence[float]], clean: float) -> float:
    """mRR: mean resilience rate of all eight corruptions."""
    return sum(resilience_rate(nds[kind], clean) for kind in KINDS) / len(KINDS)
