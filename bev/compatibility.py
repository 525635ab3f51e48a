"""Saved configs of earlier versions: classes and fields that were renamed or removed since.

One table for each. A config file (Python) is code and is mended by hand; what is read here are the
``config.yaml`` of runs, and the configs inside checkpoints and exported weights.
"""

from typing import Any

from bev.errors import ConfigError

# Old class name -> new one.
RENAMED_CLASSES: dict[str, str] = {}

# (class, old field) -> new field, also within a part of the class ("part.field").
RENAMED_FIELDS: dict[tuple[str, str], str] = {
    ("DetectorConfig", "depth_weight"): "depth_supervision.weight",
    ("DetectorConfig", "depth_loss"): "depth_supervision.loss",
    ("DetectorConfig", "image_weight"): "image_head.weight",
}

# (class, removed field) -> its default, and the latest version that reads other values.
REMOVED_FIELDS: dict[tuple[str, str], tuple[Any, str]] = {
    ("LiftSplatConfig", "plan_cache"): (0, "0.1.0"),
    ("RefinedLiftSplatConfig", "squeeze"): (4, "0.1.0"),
    ("VoxelSamplingConfig", "kernel"): (3, "0.1.0"),
    ("OutlineConfig", "line_width"): (1.0, "0.1.0"),
}


def current_class(saved: str) -> str:
    """The class name of today for a saved one; 0.1.0 saved ``module:Class``."""
    name = saved.rpartition(":")[2].rpartition(".")[2]
    return RENAMED_CLASSES.get(name, name)


def current_fields(kind: type, plain: dict[str, Any], where: str) -> dict[str, Any]:
    """The saved fields of a class under their names of today, without removed ones.

    Args:
        kind: the class; fields of its bases count as its own.
        plain: its saved fields.
        where: dotted name of the setting, for messages.

    Raises:
        ConfigError: where a removed field has another value than its default was.
    """
    owners = [base.__name__ for base in kind.__mro__]
    fields: dict[str, Any] = {}
    for name, value in plain.items():
        removed = [REMOVED_FIELDS[o, name] for o in owners if (o, name) in REMOVED_FIELDS]
        if removed:
            default, version = removed[0]
            if value != default:
                raise ConfigError(
                    f"{where}.{name} = {value!r} is a setting that was removed; bevlab {version}"
                    f" reads it. Set it to {default!r} to go on without."
                )
            continue
        renamed = [RENAMED_FIELDS[o, name] for o in owners if (o, name) in RENAMED_FIELDS]
        part, _, inner = (renamed[0] if renamed else name).partition(".")
        if inner:
            fields[part] = {**fields.get(part, {}), inner: value}
        else:
            fields[part] = value
    return fields
