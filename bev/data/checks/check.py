"""Looks a data set through for damage: its tables, and the files that they name.

The idea: nothing here builds the index or opens the devkit, both of which end at the first fault;
so all of it is found at once. What training makes of each kind is an error of one sentence, or a
rule of ``bev.data.nuscenes.values``.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bev.data.checks.files import Reading, check_images, check_lidar
from bev.data.checks.findings import Findings, Kind
from bev.data.checks.tables import Tables, check_tables
from bev.data.nuscenes.index import NO_ROW
from bev.data.nuscenes.splits import OFFICIAL_VERSIONS
from bev.data.nuscenes.tables import TABLES, table_file
from bev.errors import DataError
from bev.machine import usable_cores

SPLITS_DAMAGED = Kind("splits.json that cannot be read", "Mend it: {split: [scene name, ...]}.")


@dataclass(frozen=True)
class CheckConfig:
    """Settings of a check.

    Attributes:
        cameras: that every sample must have; empty for every camera of the sensor table.
        images: look at image files.
        decode: decode each image whole, too (much slower).
        lidar: a missing lidar file or row is an error, not a warning.
        sweeps: look at the files between key frames, too.
        workers: files looked at at the same time; 0 for four a core.
    """

    cameras: tuple[str, ...] = ()
    images: bool = True
    decode: bool = False
    lidar: bool = False
    sweeps: bool = False
    workers: int = 0


def versions_in(root: Path) -> tuple[list[str], list[str]]:
    """The versions to check of a data root where none is named, and those that are passed over.

    A version is a folder that holds tables, or is named as one. Those with nuScenes' own names are
    to be checked, or where there is none of these all.

    Raises:
        DataError: where there is no version.
    """
    folders = [path for path in sorted(root.glob("*")) if path.is_dir()]
    found = [
        path.name
        for path in folders
        if path.name.startswith("v1.0-") or any(table_file(path, t).is_file() for t in TABLES)
    ]
    if not found:
        raise DataError(
            f"{root} holds no folder of tables, such as v1.0-trainval; name a data root that does."
        )
    own = [name for name in found if name in OFFICIAL_VERSIONS]
    return own or found, [name for name in found if own and name not in own]


def check_data(root: Path, version: str, config: CheckConfig) -> tuple[str, Findings]:
    """Look a version through.

    Returns:
        What was looked at, in words, and all that is wrong.

    Raises:
        DataError: where the version's folder does not exist.
    """
    folder, findings = root / version, Findings()
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist; name a data root and a version that do.")
    tables = Tables.read(folder, findings)
    check_tables(tables, config.cameras, config.lidar, findings)
    _check_splits(folder / "splits.json", findings)
    workers = config.workers or 4 * usable_cores()
    images = _readings(tables, b"camera", config.cameras, config.sweeps) if config.images else []
    lidar = _readings(tables, b"lidar", ("LIDAR_TOP",), config.sweeps)
    check_images(root, images, config.decode, workers, findings)
    check_lidar(root, lidar, config.lidar, workers, findings)
    count = {name: len(tables.columns[name]["token"]) for name in ("sample", "sample_annotation")}
    return (
        f"{folder}: {count['sample']} samples, {count['sample_annotation']} boxes,"
        f" {len(images)} images, {len(lidar)} lidar files",
        findings,
    )


def _readings(
    tables: Tables, modality: bytes, channels: Sequence[str], sweeps: bool
) -> list[Reading]:
    """The files of a modality; those of some channels, or for none of all.

    A reading of an unknown sensor that has a width is an image.
    """
    data = tables.columns["sample_data"]
    channel = np.append(tables.columns["sensor"]["channel"], b"")[tables.sensor]
    wanted = tables.is_of(modality)
    if channels:
        wanted &= np.isin(channel, [name.encode() for name in channels])
    if modality == b"camera":
        wanted |= (tables.sensor == NO_ROW) & (data["width"] > 0)
    if not sweeps:
        wanted &= data["is_key_frame"]
    return [
        Reading(
            data["filename"][row].decode(),
            data["token"][row].decode(),
            (int(data["height"][row]), int(data["width"][row])),
        )
        for row in np.flatnonzero(wanted)
    ]


def _check_splits(path: Path, findings: Findings) -> None:
    if not path.is_file():
        return
    try:
        splits = json.loads(path.read_bytes())
    except ValueError as error:
        findings.add(SPLITS_DAMAGED, [f"{path}: {error}"])
        return
    if not isinstance(splits, dict) or not all(isinstance(s, list) for s in splits.values()):
        findings.add(SPLITS_DAMAGED, [f"{path}: not lists of scenes by split"])
