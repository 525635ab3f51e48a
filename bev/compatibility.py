"""Classes, fields, flags and tensors that were renamed, removed or added since earlier versions.

Each kind has one table. The tables apply to saved configs (the ``config.yaml`` of a run, and the
configs inside checkpoints and exported weights), command lines and weights. Config files in Python
are code and are updated by hand.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from bev.errors import ConfigError, shown

# Old class name -> new one.
RENAMED_CLASSES: dict[str, str] = {
    "JoinedNeckConfig": "ConcatNeckConfig",
    "OutlineConfig": "PolygonConfig",
    "RefinedLiftSplatConfig": "DualViewTransformConfig",
    "SecondEncoderConfig": "SECONDEncoderConfig",
    "SecondFpnConfig": "SECONDFPNConfig",
}

# (class, old field) -> new field, which may belong to a part of the class ("part.field").
RENAMED_FIELDS: dict[tuple[str, str], str] = {
    ("DetectorConfig", "depth_weight"): "depth_supervision.weight",
    ("DetectorConfig", "depth_loss"): "depth_supervision.loss",
    ("DetectorConfig", "image_weight"): "image_head.weight",
    ("DetectorConfig", "test_mirror"): "flip_tta",
    ("TemporalConfig", "frames"): "num_adjacent",
    ("CenterHeadConfig", "groups"): "tasks",
    ("CenterHeadConfig", "overlap"): "gaussian_overlap",
    ("CenterHeadConfig", "sectors"): "direction_bins",
    ("CenterHeadConfig", "sector_weight"): "direction_weight",
    ("DecodeConfig", "peaks"): "pre_max_size",
    ("DecodeConfig", "group_boxes"): "post_max_size",
    ("DecodeConfig", "nms_scale"): "nms_rescale_factor",
    ("SegmentationHeadConfig", "least_visibility"): "min_visibility",
    ("DataConfig", "outlines"): "polygons",
    ("DataConfig", "least_points"): "min_points",
    ("ObjectClass", "nms_scale"): "nms_rescale_factor",
    ("TrainConfig", "clip"): "max_grad_norm",
}

# (class, removed field) -> its default, and the last version that accepts other values.
REMOVED_FIELDS: dict[tuple[str, str], tuple[Any, str]] = {
    ("LiftSplatConfig", "plan_cache"): (0, "0.1.0"),
    ("DualViewTransformConfig", "squeeze"): (4, "0.1.0"),
    ("VoxelSamplingConfig", "kernel"): (3, "0.1.0"),
    ("PolygonConfig", "line_width"): (1.0, "0.1.0"),
}

# (class, new field) -> the value that files of earlier versions, which lack the field, stand for.
# Only for fields whose default differs from what earlier versions did.
ADDED_FIELDS: dict[tuple[str, str], Any] = {
    ("ImageAugmentation", "horizon"): 0.0,
}

# Old flag -> new flag, whose fields it stands for, too. Old flags raise a warning and are accepted
# for one more release.
RENAMED_FLAGS: dict[str, str] = {
    "--model.depth-weight": "--model.depth-supervision.weight",
    "--model.depth-loss": "--model.depth-supervision.loss",
    "--model.image-weight": "--model.image-head.weight",
    "--model.test-mirror": "--model.flip-tta",
    "--model.no-test-mirror": "--model.no-flip-tta",
    "--model.temporal.frames": "--model.temporal.num-adjacent",
    "--model.head.groups": "--model.head.tasks",
    "--model.head.overlap": "--model.head.gaussian-overlap",
    "--model.head.sectors": "--model.head.direction-bins",
    "--model.head.sector-weight": "--model.head.direction-weight",
    "--model.head.decode.peaks": "--model.head.decode.pre-max-size",
    "--model.head.decode.group-boxes": "--model.head.decode.post-max-size",
    "--model.head.decode.nms-scale": "--model.head.decode.nms-rescale-factor",
    "--model.segmentation.least-visibility": "--model.segmentation.min-visibility",
    "--data.outlines": "--data.polygons",
    "--data.least-points": "--data.min-points",
    "--train.clip": "--train.max-grad-norm",
    "--mirror": "--flip-tta",
    "--no-mirror": "--no-flip-tta",
}

# Old part of a tensor's name -> new part.
RENAMED_TENSORS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(^|\.)groups(\.\d+\.)sector\."), r"\1tasks\2direction."),
    (
        re.compile(
            r"(^|\.)groups(\.\d+\.(?:heatmap|offset|height|size|heading|velocity|attribute)\.)"
        ),
        r"\1tasks\2",
    ),
)


def current_class(saved: str) -> str:
    """Current name of a saved class; version 0.1.0 saved ``module:Class``."""
    name = saved.rpartition(":")[2].rpartition(".")[2]
    return RENAMED_CLASSES.get(name, name)


def current_fields(kind: type, plain: dict[str, Any], where: str) -> dict[str, Any]:
    """Rename the saved fields of a class to their current names; drop removed and add new ones.

    Args:
        kind: the class; renamed and removed fields of its base classes apply to it too.
        plain: saved fields of the class.
        where: dotted name of the setting, for messages.

    Raises:
        ConfigError: if the value of a removed field is not the field's former default.
    """
    owners = [base.__name__ for base in kind.__mro__]
    fields: dict[str, Any] = {}
    for name, value in plain.items():
        removed = [REMOVED_FIELDS[o, name] for o in owners if (o, name) in REMOVED_FIELDS]
        if removed:
            default, version = removed[0]
            if value != default:
                raise ConfigError(
                    f"{where}.{name} = {shown(value)}: this setting was removed; bevlab {version}"
                    f" reads it. Set it to {default!r} to continue without it."
                )
            continue
        renamed = [RENAMED_FIELDS[o, name] for o in owners if (o, name) in RENAMED_FIELDS]
        part, _, inner = (renamed[0] if renamed else name).partition(".")
        if inner:
            beside = fields.get(part, {})
            if not isinstance(beside, dict):
                raise ConfigError(f"{where}.{part} should be a mapping, not {shown(beside)}.")
            fields[part] = {**beside, inner: value}
        else:
            fields[part] = value
    added = {name: value for (owner, name), value in ADDED_FIELDS.items() if owner in owners}
    return {**added, **fields}


def current_flags(arguments: Sequence[str]) -> list[str]:
    """Replace renamed flags among command-line arguments by their new names, with a warning."""
    result = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        plain = flag.replace("_", "-")
        old = next((o for o in RENAMED_FLAGS if plain == o or plain.startswith(f"{o}.")), None)
        if old is not None:
            new = RENAMED_FLAGS[old] + plain[len(old) :]
            warnings.warn(f"{flag} is now {new}.", FutureWarning, stacklevel=2)
            argument = f"{new}{equals}{value}"
        result.append(argument)
    return result


def current_tensors(content: Any) -> Any:
    """Rename the tensors of a weights file or checkpoint to their current names.

    Nested mappings are processed at any depth; other values are returned unchanged.
    """
    if not isinstance(content, Mapping):
        return content
    return {_current_tensor(name): current_tensors(value) for name, value in content.items()}


def _current_tensor(name: Any) -> Any:
    for old, new in RENAMED_TENSORS if isinstance(name, str) else ():
        name = old.sub(new, name)
    return name
