"""Check of the tables of a data set: finds all faults at once, however damaged the tables are.

The index cannot be built from faulty tables and stops at the first fault. Here each rule is checked
separately on the columns that could be read. Consequences of a reported fault, such as references
into a truncated table, are not reported again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

from bev.data.checks.findings import Findings, Kind
from bev.data.checks.use import Use
from bev.data.nuscenes.index import NO_ROW, find
from bev.data.nuscenes.tables import TABLES, absent, read_table, table_file, table_size
from bev.data.nuscenes.values import (
    POSE,
    Columns,
    described,
    lens_faults,
    no_box,
    no_lens,
    no_pose,
    no_size,
    not_unit,
)
from bev.errors import DataError

_FIX = "Correct the rows, or download the tables again."
TABLE_MISSING = Kind("table missing", "Download the tables again.")
TABLE_DAMAGED = Kind("damaged table or row", "References to these rows are not checked.")
TOKEN_TWICE = Kind("duplicate token", "Remove the duplicate rows.")
DANGLING = Kind("reference to a row that does not exist", _FIX)
NO_POSE = Kind("pose that is not finite, or a quaternion of zero length", _FIX)
NOT_UNIT = Kind("quaternion not of unit length", f"{_FIX} Training normalises it.")
NO_LENS = Kind(
    "camera_intrinsic that is not finite, is singular, or whose last row is not 0, 0, 1", _FIX
)
NO_SIZE = Kind("image without a width and height above 0", f"{_FIX} Sizes are in pixels.")
FOREIGN_SENSOR = Kind(
    "sensor of another modality than camera, lidar or radar",
    "Its data are ignored; correct modality in sensor.json if it is one of these.",
    is_error=False,
)
BAD_LENS = Kind("unknown camera_model, or invalid lens parameters", _FIX)
NO_BOX = Kind(
    "box without a size above 0, or with a number that is not finite",
    f"{_FIX} Training and evaluation ignore such boxes.",
)
KEY_FRAME_TWICE = Kind("two key frames of a sensor in a sample", "Remove one of the rows.")
CAMERA_MISSING = Kind(
    "sample without a camera's row",
    "Restore the rows, select the cameras in use (--cameras; in training --data.cameras), or train"
    " with --data.missing-cameras skip.",
)
CAMERA_SKIPPED = Kind(
    CAMERA_MISSING.title,
    "The other cameras of the sample are used (data.missing_cameras skip).",
    is_error=False,
)
NO_CAMERA = Kind(
    "camera that the data do not have, or sample without any camera in use",
    "Select the cameras in use (--data.cameras), or restore the rows.",
)
NO_BOXES = Kind(
    "sample without boxes",
    "Allowed: the sample is used as background in training; test sets have no boxes at all.",
    is_error=False,
)


LIDAR_ROW_MISSING = Kind(
    "sample without a LIDAR_TOP row",
    "The ego frame at CAM_FRONT's time is used; turn lidar off (--data.no-lidar).",
    is_error=False,
)


def _lidar_row(flags: Sequence[str]) -> Kind:
    """Kind of a missing ``LIDAR_TOP`` row: an error if a setting needs it, by the flag of each."""
    if not flags:
        return LIDAR_ROW_MISSING
    return Kind(
        LIDAR_ROW_MISSING.title, f"Restore the rows, or do without them ({', '.join(flags)})."
    )


@dataclass(frozen=True)
class Tables:
    """The readable part of the tables.

    Attributes:
        columns: columns of each table; empty columns for a table that could not be read.
        whole: names of the tables whose rows were all read.
    """

    columns: dict[str, Columns]
    whole: frozenset[str]

    @classmethod
    def read(cls, folder: Path, findings: Findings) -> "Tables":
        """Read the tables of a version's folder; damaged rows are skipped and reported."""
        columns: dict[str, Columns] = {}
        files = {table: table_file(folder, table) for table in TABLES}
        sizes = {
            table: table_size(folder, table)
            for table, file in files.items()
            if file.is_file() or absent(folder, table)
        }
        faults: dict[str, list[str]] = {table: [] for table in TABLES}
        with tqdm(
            total=sum(sizes.values()), desc=f"tables {folder.name}", unit="B",
            unit_scale=True, delay=1, leave=False,
        ) as bar:  # fmt: skip
            for table, wanted in TABLES.items():
                columns[table] = {name: column.of(name, []) for name, column in wanted.items()}
                if table not in sizes:
                    findings.add(TABLE_MISSING, [str(files[table])])
                    continue
                messages = faults[table]
                try:
                    columns[table], _ = read_table(folder, table, bar.update, messages.append)
                except (DataError, OSError) as error:
                    messages.append(str(error))
                findings.add(TABLE_DAMAGED, messages)
        return cls(columns, frozenset(table for table in sizes if not faults[table]))

    def rows(self, table: str, wanted: np.ndarray) -> np.ndarray:
        """Row of each token in a table, or ``NO_ROW``."""
        tokens = self.columns[table]["token"]
        return find(tokens, np.argsort(tokens, kind="stable"), wanted)

    @cached_property
    def sensor(self) -> np.ndarray:
        """(D,) row in ``sensor`` of each row of ``sample_data``, or ``NO_ROW``."""
        mounting = self.columns["calibrated_sensor"]
        sensor = np.append(self.rows("sensor", mounting["sensor_token"]), NO_ROW)
        data = self.columns["sample_data"]
        return sensor[self.rows("calibrated_sensor", data["calibrated_sensor_token"])]

    def is_of(self, *modalities: bytes) -> np.ndarray:
        """(D,) whether each row of ``sample_data`` has one of the modalities (unknown: False)."""
        modality = np.append(self.columns["sensor"]["modality"], b"")
        return np.isin(modality[self.sensor], modalities)


def check_tables(
    tables: Tables, cameras: Sequence[str], lidar: bool, use: Use, findings: Findings
) -> None:
    """Add all faults of the tables to the findings.

    Args:
        tables: tables of a version.
        cameras: cameras that every sample must have; empty for all cameras of ``sensor``.
        lidar: whether every sample must have a ``LIDAR_TOP`` row with a file.
        use: what a config uses of the data.
        findings: receives the findings.
    """
    for table, columns in tables.columns.items():
        tokens, count = np.unique(columns["token"], return_counts=True)
        findings.add(
            TOKEN_TWICE,
            (f"{table} {tokens[i].decode()}: {count[i]} times" for i in np.flatnonzero(count > 1)),
        )
    read = tables.is_of(b"camera", b"lidar") | (tables.sensor == NO_ROW)
    for table, fields in TABLES.items():
        for name, column in fields.items():
            if column.target in tables.whole and column.needed != "none":
                findings.add(DANGLING, _dangling(tables, table, name, read))
    _check_values(tables, read, findings)
    if {"sample", "sample_annotation"} <= tables.whole:
        samples = tables.columns["sample"]["token"]
        bare = ~np.isin(samples, tables.columns["sample_annotation"]["sample_token"])
        findings.add(NO_BOXES, (f"sample {token.decode()}" for token in samples[bare]))
    _check_rig(tables, cameras, lidar, use, findings)


def _dangling(tables: Tables, table: str, name: str, read: np.ndarray) -> Iterator[str]:
    column, wanted = TABLES[table][name], tables.columns[table][name]
    lost = column.lost(wanted, tables.rows(column.target, wanted))
    if column.target in ("sample", "ego_pose") and table == "sample_data":
        lost &= read  # radar is ignored
    for row in np.flatnonzero(lost):
        yield (
            f"{table} {tables.columns[table]['token'][row].decode()}: {column.field or name}"
            f" {wanted[row].decode()!r} is not in {column.target}.json"
        )


def _check_values(tables: Tables, read: np.ndarray, findings: Findings) -> None:
    """Check poses, lenses and boxes, except those of sensors that are not used (radar)."""
    data, mounting = tables.columns["sample_data"], tables.columns["calibrated_sensor"]
    modality = np.append(tables.columns["sensor"]["modality"], b"")
    modality = modality[tables.rows("sensor", mounting["sensor_token"])]
    # A pose that no readable row refers to counts as used.
    of_radar = tables.rows("ego_pose", data["ego_pose_token"][~read])
    of_used = tables.rows("ego_pose", data["ego_pose_token"][read])
    radar_only = np.setdiff1d(of_radar, of_used)
    used = {
        "ego_pose": ~np.isin(np.arange(len(tables.columns["ego_pose"]["token"])), radar_only),
        "calibrated_sensor": np.isin(modality, (b"camera", b"lidar", b"")),
    }
    for table, rows in used.items():
        columns = tables.columns[table]
        findings.add(NO_POSE, _rows(table, columns, no_pose(columns) & rows, POSE))
        findings.add(NOT_UNIT, _rows(table, columns, not_unit(columns) & rows, ("rotation",)))
    lens = no_lens(mounting) & (modality == b"camera")
    findings.add(NO_LENS, _rows("calibrated_sensor", mounting, lens, ("camera_intrinsic",)))
    findings.add(
        BAD_LENS,
        (
            f"calibrated_sensor {mounting['token'][row].decode()}: {fault}"
            for row, fault in lens_faults(mounting).items()
            if modality[row] == b"camera"
        ),
    )
    sizeless = no_size(data) & tables.is_of(b"camera")
    findings.add(NO_SIZE, _rows("sample_data", data, sizeless, ("filename", "width", "height")))
    boxes, table = tables.columns["sample_annotation"], "sample_annotation"
    findings.add(NO_BOX, _rows(table, boxes, no_box(boxes), (*POSE, "size")))
    findings.add(NOT_UNIT, _rows(table, boxes, not_unit(boxes), ("rotation",)))


def _rows(table: str, columns: Columns, bad: np.ndarray, fields: Sequence[str]) -> Iterator[str]:
    for row in np.flatnonzero(bad).tolist():
        yield f"{table} {columns['token'][row].decode()}: {described(columns, row, fields)}"


def _check_rig(
    tables: Tables, cameras: Sequence[str], lidar: bool, use: Use, findings: Findings
) -> None:
    """Check that each sample has one key frame of every camera and of the lidar."""
    sensor, data = tables.columns["sensor"], tables.columns["sample_data"]
    foreign = ~np.isin(sensor["modality"], (b"camera", b"lidar", b"radar"))
    findings.add(FOREIGN_SENSOR, _rows("sensor", sensor, foreign, ("channel", "modality")))
    samples = tables.columns["sample"]["token"]
    names, channel = np.unique(sensor["channel"], return_inverse=True)
    sample = tables.rows("sample", data["sample_token"])
    is_used = data["is_key_frame"] & tables.is_of(b"camera", b"lidar") & (sample != NO_ROW)
    rows = np.flatnonzero(is_used)
    place = sample[rows] * len(names) + channel[tables.sensor[rows]]
    count = np.bincount(place, minlength=len(samples) * len(names))
    count = count.reshape(len(samples), len(names))
    for s, c in np.argwhere(count > 1):
        files = data["filename"][rows[place == s * len(names) + c]]
        listed = ", ".join(file.decode() for file in files)
        findings.add(
            KEY_FRAME_TWICE, [f"sample {samples[s].decode()}, {names[c].decode()}: {listed}"]
        )
    if not {"sample", "sample_data", "calibrated_sensor", "sensor"} <= tables.whole:
        return  # missing key frames may be in rows that could not be read
    of = {name.decode(): count[:, c] for c, name in enumerate(names)}
    none = np.zeros(len(samples), int)
    known = {name.decode() for name in sensor["channel"][sensor["modality"] == b"camera"]}
    cameras = cameras or sorted(known)
    if len(samples) and not cameras:
        findings.add(CAMERA_MISSING, ["no row of sensor.json has the modality camera"])
    skip = use.missing_cameras == "skip"
    present = [of.get(camera, none) for camera in cameras]
    for camera, counts in zip(cameras, present, strict=True):
        if skip and camera not in known:
            findings.add(NO_CAMERA, [f"{camera}: not a camera of sensor.json"])
        else:
            kind = CAMERA_SKIPPED if skip else CAMERA_MISSING
            findings.add(kind, _lacking(samples, camera, counts))
    if skip and known & set(cameras):
        findings.add(NO_CAMERA, _lacking(samples, "any camera in use", np.sum(present, axis=0)))
    lidars = of.get("LIDAR_TOP", none)
    needed = {"--data.no-lidar": lidar, "--data.reference ego": use.lidar_pose}
    flags = [flag for flag, wanted in needed.items() if wanted]
    if flags or lidars.any():
        findings.add(_lidar_row(flags), _lacking(samples, "LIDAR_TOP", lidars))


def _lacking(samples: np.ndarray, channel: str, count: np.ndarray) -> list[str]:
    """List the samples without a sensor; a single message if no sample has it."""
    if len(samples) and not count.any():
        return [f"{channel}: no sample has one"]
    return [f"sample {token.decode()}: {channel}" for token in samples[count == 0]]
