"""Conditions of the suite: the perturbations that a model is evaluated under."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bev.data.images.corruptions.corruption import KINDS
from bev.evaluation.robustness.calibration import MISALIGNMENT
from bev.evaluation.robustness.perturbation import Perturbation
from bev.lab.robustness.robobev import LEVELS, SEVERITIES

Group = Literal["corruptions", "dropped", "alone", "extrinsics", "misalignment", "intrinsics",
                "late", "late-sweep"]  # fmt: skip

CLEAN = "clean"
_EXTRINSIC = ((0.5, 0.05), (1.0, 0.1), (2.0, 0.2))  # degrees, metres
_INTRINSIC = (0.5, 1.0, 2.0)  # percent
_LATE = (0.2, 0.4, 0.6)  # MultiCorrupt's probabilities

GROUPS: dict[Group, str] = {
    "corruptions": "RoboBEV's corruptions of images",
    "dropped": "Each camera dropped in turn",
    "alone": "All cameras dropped but one",
    "extrinsics": "Gaussian noise of the extrinsics, after Lift-Splat-Shoot",
    "misalignment": "The rig turned, by MultiCorrupt's spatial misalignment",
    "intrinsics": "Gaussian noise of the intrinsics",
    "late": "Images of the key frame before, by MultiCorrupt's temporal misalignment",
    "late-sweep": "Images of the sweep before",
}
"""Groups of conditions and their titles."""

DEFAULT: tuple[Group, ...] = (
    "corruptions", "dropped", "alone", "extrinsics", "misalignment", "intrinsics", "late",
)  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """One setting of the suite.

    Attributes:
        name: unique name.
        group: group of the condition; empty for the clean data.
        kind: corruption or camera, or the kind of error: conditions of one kind form a curve.
        level: level of the curve, a short text.
        perturbation: what is perturbed.
    """

    name: str
    group: str
    kind: str
    level: str
    perturbation: Perturbation


def conditions(groups: Sequence[Group], cameras: Sequence[str], seed: int) -> list[Condition]:
    """The clean data, then the conditions of groups in the order of :data:`GROUPS`.

    Args:
        groups: names of the groups.
        cameras: names of all cameras.
        seed: seed of all that is drawn.
    """
    found = [Condition(CLEAN, "", CLEAN, "", Perturbation())]

    def add(group: str, kind: str, level: str, perturbation: Perturbation) -> None:
        name = " ".join(filter(None, (kind, level)))
        found.append(Condition(name, group, kind, level, perturbation))

    for group in (one for one in GROUPS if one in groups):
        if group == "corruptions":
            for kind in KINDS:
                for level, severity in zip(LEVELS, SEVERITIES[kind], strict=True):
                    own = Perturbation(corruption=kind, severity=severity, noise_seed=seed)
                    add(group, kind, level, own)
        elif group in ("dropped", "alone") and len(cameras) > 1:
            for camera in cameras:
                others = tuple(name for name in cameras if name != camera)
                left_out = (camera,) if group == "dropped" else others
                word = "without" if group == "dropped" else "only"
                add(group, f"{word} {camera}", "", Perturbation(without=left_out))
        elif group == "extrinsics":
            for noise in _EXTRINSIC:
                level = f"{noise[0]:g} deg {noise[1]:g} m"
                own = Perturbation(extrinsic_noise=noise, noise_seed=seed)
                add(group, "extrinsic noise", level, own)
        elif group == "misalignment":
            for severity, (chance, degrees) in list(enumerate(MISALIGNMENT))[1:]:
                own = Perturbation(misalignment=severity, noise_seed=seed)
                add(group, "misalignment", f"p {chance:g} {degrees} deg", own)
        elif group == "intrinsics":
            for percent in _INTRINSIC:
                own = Perturbation(intrinsic_noise=percent, noise_seed=seed)
                add(group, "intrinsic noise", f"{percent:g} percent", own)
        elif group in ("late", "late-sweep"):
            unit: Literal["key_frames", "sweeps"] = "key_frames" if group == "late" else "sweeps"
            for chance in _LATE:
                own = Perturbation(late=chance, late_unit=unit, noise_seed=seed)
                add(group, f"one {unit[:-1].replace('_', ' ')} late", f"p {chance:g}", own)
    return found
