"""What sets an evaluation of a checkpoint apart from the usual one: no two share a folder.

The usual one has the data, the cameras and the network's input as they were in training.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path

from bev.data.settings import DataConfig
from bev.evaluation.robustness import Perturbation


def circumstances(
    trained: DataConfig,
    data: DataConfig,
    rig: Perturbation,
    *,
    flip_tta: bool,
    blank: bool,
    within: float,
) -> dict[str, str]:
    """By a short name, one sentence for each circumstance; empty for the usual evaluation.

    Args:
        trained: of the checkpoint.
        data: evaluated on. Its root and version are told where they differ from ``trained``'s,
            its cameras and areas where they or their order do.
        rig: what is done to it.
        flip_tta: detections of the mirrored scene are averaged in.
        blank: images are grey.
        within: see :func:`range_limit`.
    """
    found = range_limit(within)
    if flip_tta:
        found["flip_tta"] = "Detections were averaged with those of the flipped scene."
    if blank:
        found["blank"] = "Images were blanked."
    if str(rig):
        found[str(rig)] = f"The rig was disturbed: {rig}."
    if data.camera_names != trained.camera_names:
        names, before = " ".join(data.camera_names), len(trained.camera_names)
        found[f"with {names}"] = f"The cameras were {names}; trained with {before}."
    if data.polygons.layers != trained.polygons.layers:
        names = " ".join(data.polygons.layers)
        found[f"areas {names}"] = f"Areas measured: {names}."
    if data.version != trained.version:
        found[data.version] = f"The data were {data.version}; trained on {trained.version}."
    if data.root.resolve() != trained.root.resolve():
        found[f"in {_place(data.root)}"] = f"The data lay in {data.root}."
    return found


def range_limit(within: float) -> dict[str, str]:
    """Likewise, where boxes farther from the ego car than ``within`` (metres) do not count."""
    if math.isinf(within):
        return {}
    return {f"within {within:g} m": f"Boxes farther away than {within:g} m did not count."}


def folder_name(split: str, checkpoint: Path, found: Mapping[str, str]) -> str:
    """Of a folder for the evaluation of a checkpoint on a split under these circumstances."""
    return re.sub(r"[^\w.+-]+", "_", " ".join([split, checkpoint.stem, *found]))


def _place(root: Path) -> str:
    """Short, and another for every folder."""
    path = root.resolve()
    return f"{path.name}-{hashlib.sha256(str(path).encode()).hexdigest()[:6]}"
