"""Differences of an evaluation from the standard one, which name its output folder.

The standard evaluation uses the data, the cameras and the network input of training. Evaluations
with different settings never share a folder.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bev.paths import url_of

if TYPE_CHECKING:  # both import torch
    from bev.data.settings import DataConfig
    from bev.evaluation.robustness.perturbation import Perturbation


def circumstances(
    trained: "DataConfig",
    data: "DataConfig",
    rig: "Perturbation",
    *,
    flip_tta: bool,
    blank: bool,
    within: float,
    every: int = 1,
) -> dict[str, str]:
    """Return one sentence for each difference from the standard evaluation, by a short name.

    The result is empty for the standard evaluation.

    Args:
        trained: data settings of the checkpoint.
        data: data settings of the evaluation. The root and the version are reported if they differ
            from those of ``trained``; the cameras and the segmentation layers also if their order
            differs.
        rig: perturbation of the rig.
        flip_tta: whether flip test-time augmentation is on.
        blank: whether images are replaced by uniform grey.
        within: maximum distance of boxes, see :func:`range_limit`.
        every: distance between the samples that are evaluated; 1 for all of them.
    """
    notices = range_limit(within)
    if every > 1:
        notices[f"every {every}"] = f"One of every {every} samples was evaluated."
    if flip_tta:
        notices["flip_tta"] = (
            "Detections were averaged over the scene and its mirror image (flip TTA)."
        )
    if blank:
        notices["blank"] = "Images were replaced by uniform grey."
    if str(rig):
        notices[str(rig)] = f"The rig was perturbed: {rig}."
    if data.camera_names != trained.camera_names:
        names, before = " ".join(data.camera_names), len(trained.camera_names)
        notices[f"with {names}"] = f"The cameras were {names}; trained with {before}."
    if data.polygons.layers != trained.polygons.layers:
        names = " ".join(data.polygons.layers)
        notices[f"layers {names}"] = f"Layers measured: {names}."
    if data.version != trained.version:
        notices[data.version] = f"The data were {data.version}; trained on {trained.version}."
    if data.root.resolve() != trained.root.resolve():
        where = url_of(data.root) or data.root
        notices[f"in {_place(data.root)}"] = f"The data were read from {where}."
    return notices


def range_limit(within: float) -> dict[str, str]:
    """Return the sentence of a distance limit of boxes, by a short name; empty without a limit.

    Args:
        within: maximum distance from the ego vehicle, metres; boxes farther away do not count.
    """
    if math.isinf(within):
        return {}
    return {f"within {within:g} m": f"Boxes farther away than {within:g} m did not count."}


def folder_name(split: str, checkpoint: Path, notices: Mapping[str, str]) -> str:
    """Folder name for the evaluation of a checkpoint on a split with these differences."""
    return re.sub(r"[^\w.+-]+", "_", " ".join([split, checkpoint.stem, *notices]))


def _place(root: Path) -> str:
    """Short name that is unique to a folder."""
    path = root.resolve()
    return f"{path.name}-{hashlib.sha256(str(path).encode()).hexdigest()[:6]}"
