"""Check of a data set for damage in its tables and in the files that they list.

The check finds all damage at once: it reads the tables themselves, since building the index stops
at the first fault. If the tables are sound, their joined columns are checked too, for ground truth
that is not used and for values that are physically implausible. In training each kind of damage
either raises an error, a warning, or is handled by a rule of ``bev.data.nuscenes.values``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bev.bounds import Natural, check_bounds
from bev.cores import usable_cores
from bev.data.checks.files import SensorFile, check_images, check_lidar
from bev.data.checks.findings import Findings
from bev.data.checks.ground_truth import check_ground_truth
from bev.data.checks.tables import Tables, check_tables
from bev.data.checks.use import UNKNOWN, Use
from bev.data.nuscenes.index import NO_ROW
from bev.data.nuscenes.index_cache import folder_with_tables
from bev.data.nuscenes.splits import OFFICIAL_VERSIONS
from bev.data.nuscenes.tables import TABLES, table_file
from bev.data.nuscenes.values import no_size
from bev.errors import DataError
from bev.paths import url_of


@dataclass(frozen=True)
class FileCheckConfig:
    """Settings of the check of files.

    Attributes:
        images: check image files.
        decode: also decode each image and read each lidar file completely (much slower).
        lidar: report a missing lidar file or row as an error instead of a warning.
        sweeps: also check the files between key frames (nuScenes' format).
        workers: number of files checked in parallel; 0 for four per core.
    """

    images: bool = True
    decode: bool = False
    lidar: bool = False
    sweeps: bool = False
    workers: Natural = 0

    def __post_init__(self) -> None:
        check_bounds(self)

    @property
    def threads(self) -> int:
        """Number of files checked in parallel."""
        return self.workers or 4 * usable_cores()


@dataclass(frozen=True)
class CheckConfig(FileCheckConfig):
    """Settings of a check of nuScenes' tables and their files.

    Attributes:
        cameras: cameras that every sample must have; empty for all cameras of the sensor table.
        min_points: minimum number of lidar and radar points of boxes in training
            (``data.min_points``).
    """

    cameras: tuple[str, ...] = ()
    min_points: Natural = 1


def versions_in(root: Path) -> tuple[list[str], list[str]]:
    """List the versions of a data root that are checked by default, and the remaining ones.

    A version is a folder that contains tables or is named like a version. Versions with nuScenes'
    official names are checked, or all versions if there is no official one.

    Raises:
        DataError: if the data root contains no version.
    """
    if url := url_of(root):
        raise DataError(f"The versions of {url} cannot be listed; name one by --version.")
    folders = [path for path in sorted(root.glob("*")) if path.is_dir()]
    found = [
        path.name
        for path in folders
        if path.name.startswith("v1.0-") or any(table_file(path, t).is_file() for t in TABLES)
    ]
    if not found:
        raise DataError(
            f"{root} contains no folder of tables, such as v1.0-trainval; give the folder of a data"
            " set."
        )
    official = [name for name in found if name in OFFICIAL_VERSIONS]
    return official or found, [name for name in found if official and name not in official]


def check_data(
    root: Path, version: str, config: CheckConfig, use: Use = UNKNOWN
) -> tuple[str, Findings]:
    """Check a version of a data set.

    Args:
        root: folder of the data set.
        version: name of the tables' folder.
        config: settings.
        use: what a config uses of the data, if there is one.

    Returns:
        A summary of the checked data, with a line for each split, and all findings.

    Raises:
        DataError: if the version's folder does not exist.
    """
    root = folder_with_tables(root, version)
    folder, findings = root / version, Findings()
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist; give an existing data root and version.")
    tables = Tables.read(folder, findings)
    check_tables(tables, config.cameras, config.lidar, use, findings)
    lines = check_ground_truth(folder, tables, config.cameras, config.min_points, use, findings)
    sweeps = config.sweeps or use.sweeps
    images = _files_of(tables, b"camera", config.cameras, sweeps) if config.images else []
    lidar = _files_of(tables, b"lidar", ("LIDAR_TOP",), config.sweeps)
    check_images(root, images, config.decode, config.threads, findings)
    check_lidar(root, lidar, config.lidar, config.decode, config.threads, findings)
    count = {name: len(tables.columns[name]["token"]) for name in ("sample", "sample_annotation")}
    summary = (
        f"{folder}: {count['sample']} samples, {count['sample_annotation']} boxes,"
        f" {len(images)} images, {len(lidar)} lidar files"
    )
    return "\n".join([summary, *lines]), findings


def _files_of(
    tables: Tables, modality: bytes, channels: Sequence[str], sweeps: bool
) -> list[SensorFile]:
    """The files of a modality from some channels (empty: all channels).

    A file of an unknown sensor counts as an image if its row has a width.
    """
    data = tables.columns["sample_data"]
    channel = np.append(tables.columns["sensor"]["channel"], b"")[tables.sensor]
    wanted = tables.is_of(modality)
    if channels:
        wanted &= np.isin(channel, [name.encode() for name in channels])
    if modality == b"camera":
        wanted |= tables.sensor == NO_ROW
        wanted &= ~no_size(data)  # reported with the tables
    if not sweeps:
        wanted &= data["is_key_frame"]
    return [
        SensorFile(
            data["filename"][row].decode(),
            f"sample_data {data['token'][row].decode()}",
            (int(data["height"][row]), int(data["width"][row])),
        )
        for row in np.flatnonzero(wanted)
    ]
