"""Stages between a checkpoint and its figures: what each of them was, and what in it is unusual.

Each stage is a dictionary of plain data, to be compared with that of another machine. ``findings``
are sentences: reasons why the figures may differ from the published ones.
"""

import ast
import hashlib
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bev import __version__
from bev.config import Experiment, find_config, load_file, shipped_configs
from bev.data.nuscenes.classes import CLASS_RANGE, CLASSES
from bev.data.nuscenes.index import NO_ROW, Index
from bev.data.nuscenes.source import NuScenes
from bev.data.nuscenes.splits import split_rows
from bev.data.nuscenes.tables import TABLES, content_hash, table_file
from bev.errors import ConfigError
from bev.evaluation.nuscenes.ground_truth import counted, gt_boxes_of
from bev.lab.convert.published import Conversion
from bev.machine import device_name
from bev.serialization import differences, to_plain

Stage = dict[str, Any]

# Sizes of the official splits: scenes, samples, boxes of the ten classes, and those that count in
# the metrics.
_OFFICIAL = {
    "val": {"scenes": 150, "samples": 6019, "boxes": 187_528, "counted": 121_861},
    "mini_val": {"scenes": 2, "samples": 81, "boxes": 4_441, "counted": 3_393},
}
_BASE = "lss_r50"  # switches are the fields in which a config differs from the default config
_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "opencv-python-headless", "lightning")


def machine_stage() -> Stage:
    """Versions, the device, and whether torch lets it round the inputs of convolutions (TF32)."""
    versions = {"bevlab": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    tf32 = torch.cuda.is_available() and torch.backends.cudnn.allow_tf32
    return {"versions": versions, "device": device_name(), "tf32": tf32, "findings": []}


def weights_stage(path: Path, conversion: Conversion) -> Stage:
    """The published file, its family, and what became of each tensor.

    Args:
        path: published checkpoint.
        conversion: its conversion, which used every tensor or names it in ``unused``.
    """
    bad = [name for name, value in conversion.weights.items() if not _is_finite(value)]
    findings = []
    if bad:
        findings.append(f"{len(bad)} tensors contain numbers that are not finite, first {bad[0]}.")
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": content_hash(path),
        "family": conversion.family,
        "tensors_used": conversion.used,
        "tensors_made": len(conversion.weights),
        "tensors_unused": list(conversion.unused),
        "not_finite": bad,
        "state_sha256": state_hash(conversion.weights),
        "findings": findings,
    }


def state_hash(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of a state dict: of names, types, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def data_stage(config: Experiment, split: str) -> Stage:
    """The tables, the samples and boxes of a split by class, and its images.

    Raises:
        ConfigError: if the data are not in nuScenes' format.
        DataError: if the tables are damaged or the split is unknown.
    """
    source = config.data.source.open(config.data)
    if not isinstance(source, NuScenes):
        raise ConfigError(
            f"{type(config.data.source).__name__} is not nuScenes' format, in which the published"
            " figures are measured."
        )
    index = source.index
    samples = split_rows(index, split).tolist()
    stage: Stage = {
        "version": index.version,
        "split": split,
        "tables_sha256": {
            table: content_hash(table_file(index.root / index.version, table)) for table in TABLES
        },
        "scenes": len(np.unique(index.sample.scene[samples])),
        "samples": len(samples),
        **_boxes(index, samples),
        "images": _images(index, samples, config.data.camera_names),
    }
    return {**stage, "findings": _data_findings(stage)}


def _boxes(index: Index, samples: Sequence[int]) -> Stage:
    every = gt_boxes_of(index, samples)
    stages = {"boxes": every, "counted": counted(index, every, CLASS_RANGE)}
    found: Stage = {name: len(boxes) for name, boxes in stages.items()}
    for name, boxes in stages.items():
        numbers = np.bincount(boxes.label, minlength=len(CLASSES)).tolist()
        found[f"{name}_by_class"] = dict(zip(CLASSES, numbers, strict=True))
    return found


def _images(index: Index, samples: Sequence[int], cameras: Sequence[str]) -> Stage:
    """Number of images of the key frames, and a hash of their names and sizes in bytes."""
    channels = [index.channels[name] for name in cameras if name in index.channels]
    rows = index.sample.data[samples][:, channels].ravel()
    rows = rows[rows != NO_ROW]
    digest, missing = hashlib.sha256(), []
    for name in sorted(filename.decode() for filename in index.sample_data.filename[rows]):
        path = index.root / name
        if path.is_file():
            digest.update(f"{name} {path.stat().st_size}\n".encode())
        else:
            missing.append(name)
    return {
        "expected": len(samples) * len(cameras),
        "found": len(rows) - len(missing),
        "missing": missing[:10],
        "names_and_sizes_sha256": digest.hexdigest(),
    }


def _data_findings(stage: Stage) -> list[str]:
    findings = []
    split, images = stage["split"], stage["images"]
    official = _OFFICIAL.get(split)
    if official is None:
        findings.append(f"The figures are published for val; these are of {split}.")
    elif split != "val":
        findings.append(f"The figures are published for val; {split} is a part of it.")
    for name, expected in (official or {}).items():
        if stage[name] != expected:
            findings.append(f"{split} has {stage[name]} {name} here; the official one {expected}.")
    if images["found"] < images["expected"]:
        findings.append(
            f"{images['expected'] - images['found']} of {images['expected']} images are missing"
            f"{', first ' + images['missing'][0] if images['missing'] else ' in the tables'}."
        )
    return findings


def switches_stage(config: Experiment, shipped: Experiment, trained: bool) -> Stage:
    """The settings that make a config differ, and what its docstring states of the published code.

    Args:
        config: config as it was evaluated.
        shipped: config of the same name without overrides.
        trained: whether the config is trained, so that its training settings matter.
    """
    changed = changes(shipped, config)
    findings = [
        f"{name} is {new}, and {old} in the config {shipped.name}."
        for name, (old, new) in changed.items()
        if not name.startswith(PLACES if trained else (*PLACES, *_OF_TRAINING))
    ]
    return {
        "config": shipped.name,
        "switches": {name: new for name, (_, new) in changes(load_file(_BASE), shipped).items()},
        "overrides": {name: new for name, (_, new) in changed.items()},
        "docstrings": _docstrings(shipped.name),
        "findings": findings,
    }


# Settings of places and of the machine, and those that do not change what given weights predict.
PLACES = ("data.root", "data.version", "data.val_split", "data.workers", "data.image_cache",
          "train.runs", "train.run_name", "train.pictures", "train.threads", "train.log_every",
          "train.save_minutes", "train.tensorboard")  # fmt: skip
_OF_TRAINING = ("train.", "data.train_split", "data.batch_size", "data.bev_augmentation",
                "data.sampling", "model.backbone.pretrained")  # fmt: skip


def changes(before: Experiment, after: Experiment) -> dict[str, tuple[Any, Any]]:
    """Fields in which two configs differ, with both values as plain data."""

    def plain(value: Any) -> Any:
        try:
            return to_plain(value)
        except ConfigError:
            return repr(value)

    return {
        name: (plain(old), plain(new))
        for name, old, new in differences(before, after)
        if name != "name"
    }


def _docstrings(name: str) -> dict[str, str]:
    """Docstrings of a config and of the configs that it names, which list their deviations."""
    found: dict[str, str] = {}
    waiting, shipped = [name], {*shipped_configs()}
    while waiting:
        name = waiting.pop()
        tree = ast.parse(find_config(name).read_text(encoding="utf-8"))
        found[name] = ast.get_docstring(tree) or ""
        named = re.findall(r"``(\w+)``", found[name])
        waiting += [other for other in named if other in shipped and other not in found]
    return found


def _is_finite(value: Tensor) -> bool:
    return bool(value.isfinite().all()) if value.is_floating_point() else True
