"""Build of an index; in a separate process: ``python -m bev.data.nuscenes.index_build JOB``.

Small tables are read in the process that opens the data. Large ones need several times the memory
of the index for temporary data (the text of a table, sorted arrays), and the end of a separate
process releases all of it. It imports neither torch nor the devkit and thus starts in a fraction of
a second. Two tables are joined by sorting the tokens of one and a binary search for those of the
other. A dangling reference is an error if the devkit would fail on it too.
"""

import gc
import json
import os
import sys
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from tqdm import tqdm

from bev.data.nuscenes.index import NO_ROW, PARTS, column_file, find
from bev.data.nuscenes.tables import TABLES, read_table, table_file, table_size
from bev.data.nuscenes.values import (
    POSE,
    Columns,
    described,
    lens_faults,
    no_box,
    no_lens,
    no_pose,
    no_size,
)
from bev.errors import BevError, DataError, print_warnings

_ALL_DAMAGE = "bevlab check-data {} lists all damage"
# As in the devkit, boxes further apart in time than this (seconds) give no velocity.
_LONGEST_STEP = 1.5
_LARGE = 16 << 20  # bytes of a table from which a separate process is faster


def build(folder: Path, out: Path, hashes: dict[str, str], cores: int) -> None:
    """Write the columns of the index to a folder.

    Args:
        folder: the version's folder, which contains the tables.
        out: empty folder.
        hashes: hash of each table's content when the build was requested.
        cores: CPU cores; with several, large tables are read in separate processes.

    Raises:
        DataError: if the tables are damaged, inconsistent, or change during the build.
    """
    tables: dict[str, dict[str, np.ndarray]] = {}
    parent = os.getppid()
    total = sum(table_size(folder, table) for table in TABLES)
    with tqdm(total=total, desc=f"index {folder.name}", unit="B", unit_scale=True, delay=1,
              leave=False) as bar:  # fmt: skip

        def advance(characters: int) -> None:
            if os.getppid() != parent:
                raise DataError("The process that requested the index has ended.")
            bar.update(characters)

        readers = _start_readers(folder, out) if cores > 1 else {}
        read_hashes = {}
        for table in [name for name in TABLES if name not in readers]:
            tables[table], read_hashes[table] = read_table(folder, table, advance)
        for table, process in readers.items():
            while process.is_alive():
                process.join(0.2)
                advance(0)
            tables[table], read_hashes[table] = _read_result(folder, out, table, process.exitcode)
            advance(table_size(folder, table))
        for table in TABLES:
            if read_hashes[table] != hashes[table]:
                raise DataError(
                    f"Table {table_file(folder, table)} changed while it was read; try again when"
                    " no other process writes to it."
                )
    boxes = len(tables["sample_annotation"]["token"])
    join(folder, tables)
    if left_out := boxes - len(tables["sample_annotation"]["size"]):
        text = (
            f"{left_out} boxes of {folder} have no size above 0, or a number that is not finite,"
            f" and are ignored; {_ALL_DAMAGE.format(folder.parent)}."
        )
        print_warnings([text])
    for part, columns in PARTS.items():
        for name in columns:
            with column_file(out, part, name).open("wb") as file:
                np.save(file, tables[part][name])
                file.flush()
                os.fsync(file.fileno())  # a power cut must not leave an index with holes


def _start_readers(folder: Path, out: Path) -> dict[str, BaseProcess]:
    """Start a process for each large table, which writes the columns to ``out``."""
    context = get_context("spawn")
    processes: dict[str, BaseProcess] = {}
    for table in TABLES:
        if table_size(folder, table) > _LARGE:
            arguments = (folder, out, table, os.getpid())
            processes[table] = context.Process(target=_read_apart, args=arguments, daemon=True)
            processes[table].start()
    return processes


def _read_apart(folder: Path, out: Path, table: str, parent: int) -> None:
    """Read a table in a separate process, which ends when its parent ends."""
    gc.disable()

    def progress(_: int) -> None:
        if os.getppid() != parent:
            os._exit(1)

    try:
        columns, digest = read_table(folder, table, progress)
        result = {"hash": digest}
        np.savez(out / f"{table}.npz", **columns)
    except BevError as error:
        result = {"error": str(error)}
    (out / f"{table}.read").write_text(json.dumps(result))


def _read_result(
    folder: Path, out: Path, table: str, status: int | None
) -> tuple[dict[str, np.ndarray], str]:
    """Load the columns and the hash that a reader process wrote, and remove its files."""
    if status:
        raise DataError(
            f"The process that read {table_file(folder, table)} ended with status {status} (-9: out"
            " of memory); see its output above."
        )
    result = json.loads((out / f"{table}.read").read_text())
    (out / f"{table}.read").unlink()
    if "error" in result:
        raise DataError(result["error"])
    with np.load(out / f"{table}.npz") as content:
        columns = dict(content)
    (out / f"{table}.npz").unlink()
    return columns, result["hash"]


def join(folder: Path, tables: dict[str, dict[str, np.ndarray]]) -> None:
    """Convert the columns of the tables to those of the index, in place; other columns may remain.

    Args:
        folder: the version's folder, for messages.
        tables: columns of each table, from ``read_table``.

    Raises:
        DataError: for a duplicate token, a dangling reference, an invalid pose or lens, an image
            without a size, or a second key frame of a sensor in a sample.
    """
    order = {table: _order(folder, table, columns["token"]) for table, columns in tables.items()}

    def resolve(table: str, name: str) -> None:
        """Replace a column of tokens by row numbers."""
        column, wanted = TABLES[table][name], tables[table].pop(name)
        rows = find(tables[column.target]["token"], order[column.target], wanted)
        if (lost := column.lost(wanted, rows)).any():
            raise DataError(
                f"Table {table_file(folder, table)} names a {column.field or name}"
                f" {wanted[np.argmax(lost)].decode()!r} that {column.target}.json does not contain;"
                " download the tables again."
            )
        tables[table][name.removesuffix("_token")] = rows.astype(np.int32)

    # Radar is removed first, so that its rows need not be valid.
    resolve("calibrated_sensor", "sensor_token")
    resolve("sample_data", "calibrated_sensor_token")
    sensor, mounting, data = (tables[t] for t in ("sensor", "calibrated_sensor", "sample_data"))
    used = np.isin(sensor["modality"], (b"camera", b"lidar"))
    channel = np.full(len(used), NO_ROW, np.int16)
    names, first, channel[used] = np.unique(sensor["channel"][used], True, True)
    data["channel"] = channel[mounting["sensor"]][data["calibrated_sensor"]]
    kept, by_token = data["channel"] != NO_ROW, order["sample_data"]
    data = tables["sample_data"] = {name: column[kept] for name, column in data.items()}
    order["sample_data"] = (np.cumsum(kept) - 1)[by_token[kept[by_token]]]
    for table, columns in TABLES.items():
        for name in [name for name in columns if columns[name].target and name in tables[table]]:
            resolve(table, name)

    is_camera = (sensor["modality"] == b"camera")[mounting["sensor"]]
    for table, bad, fields in (
        ("ego_pose", no_pose(tables["ego_pose"]), POSE),
        ("calibrated_sensor", no_pose(mounting), POSE),
        ("calibrated_sensor", no_lens(mounting) & is_camera, ("camera_intrinsic",)),
    ):
        if (unusable := bad[data[table]]).any():
            row = int(data[table][np.argmax(unusable)])
            raise DataError(
                f"Table {table_file(folder, table)}, row {tables[table]['token'][row].decode()}:"
                f" {described(tables[table], row, fields)} cannot be used; correct the row or"
                f" download the table again ({_ALL_DAMAGE.format(folder.parent)})."
            )
    sizeless = no_size(data) & is_camera[data["calibrated_sensor"]]
    if sizeless.any():
        row = int(np.argmax(sizeless))
        raise DataError(
            f"Table {table_file(folder, 'sample_data')}, row {data['token'][row].decode()}:"
            f" {described(data, row, ('filename', 'width', 'height'))}; give the image's size in"
            " pixels"
            f" ({_ALL_DAMAGE.format(folder.parent)})."
        )
    for row, fault in lens_faults(mounting).items():
        if is_camera[row] and (data["calibrated_sensor"] == row).any():
            raise DataError(
                f"Table {table_file(folder, 'calibrated_sensor')}, row"
                f" {mounting['token'][row].decode()}: {fault}."
            )
    data |= {name: tables["ego_pose"][name][data["ego_pose"]] for name in POSE}
    samples, boxes = tables["sample"], tables["sample_annotation"]
    samples["data"] = _key_frames(folder, data, samples["token"], names)
    samples["by_token"] = order["sample"]
    tables["sensor"] = {name: sensor[name][used][first] for name in PARTS["sensor"]}

    boxes["attribute"] = boxes["attribute"].astype(np.int16)
    boxes["category"] = tables["instance"]["category"][boxes["instance"]].astype(np.int16)
    invalid, count = no_box(boxes), len(samples["token"])
    boxes["velocity"] = _velocity(boxes, samples["timestamp"][boxes["sample"]], invalid)
    by_sample = np.argsort(boxes["sample"], kind="stable")
    samples["invalid_boxes"] = np.bincount(boxes["sample"][invalid], minlength=count)
    by_sample = by_sample[~invalid[by_sample]]
    ends = np.arange(count + 1)
    samples["annotations"] = np.searchsorted(boxes["sample"][by_sample], ends)
    tables["sample_annotation"] = {n: boxes[n][by_sample] for n in PARTS["sample_annotation"]}


def _order(folder: Path, table: str, tokens: np.ndarray) -> np.ndarray:
    """The rows in the order of their tokens, which must be unique."""
    order = np.argsort(tokens, kind="stable").astype(np.int32)
    ordered = tokens[order]
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        raise DataError(
            f"Table {table_file(folder, table)} has token {twice[0].decode()} twice; remove a row"
            " or download the table again."
        )
    return order


def _key_frames(
    folder: Path, data: Columns, samples: np.ndarray, channels: np.ndarray
) -> np.ndarray:
    """(samples, channels) row in ``sample_data`` of each sensor's key frame, or ``NO_ROW``."""
    key_frames = np.full((len(samples), len(channels)), NO_ROW, np.int32)
    rows = np.flatnonzero(data["is_key_frame"])
    place = data["sample"][rows], data["channel"][rows]
    key_frames[place] = rows
    for second in np.flatnonzero(key_frames[place] != rows):
        sample, channel = (int(column[second]) for column in place)
        files = data["filename"][[rows[second], key_frames[sample, channel]]]
        raise DataError(
            f"Table {table_file(folder, 'sample_data')} has two key frames of"
            f" {channels[channel].decode()} for sample {samples[sample].decode()}:"
            f" {' and '.join(file.decode() for file in files)}; remove one"
            f" ({_ALL_DAMAGE.format(folder.parent)})."
        )
    return key_frames


def _velocity(boxes: Columns, timestamp: np.ndarray, invalid: np.ndarray) -> np.ndarray:
    """(A, 2) velocity of each box, by the rule of the devkit's ``box_velocity``.

    The difference quotient between the track's previous and next box, or between this box and its
    only neighbour. Values that are infinite in the devkit, or follow from an ``invalid`` box, are
    NaN here.
    """
    this = np.arange(len(timestamp))
    has_prev, has_next = (boxes[name] != NO_ROW for name in ("prev", "next"))
    first, last = np.where(has_prev, boxes["prev"], this), np.where(has_next, boxes["next"], this)
    seconds = 1e-6 * timestamp[last] - 1e-6 * timestamp[first]
    longest = np.where(has_prev & has_next, 2 * _LONGEST_STEP, _LONGEST_STEP)
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = boxes["translation"][last, :2] - boxes["translation"][first, :2]
        velocity = moved / seconds[:, None]
    unknown = ~(has_prev | has_next) | (seconds > longest) | ~np.isfinite(velocity).all(axis=1)
    velocity[unknown | invalid[first] | invalid[last]] = np.nan
    return velocity


if __name__ == "__main__":
    gc.disable()  # rows contain no reference cycles, and searching for them takes time
    job_folder, job_out, *rest = json.loads(sys.argv[1])
    try:
        build(Path(job_folder), Path(job_out), *rest)
    except BevError as error:
        print(error)
        sys.exit(1)
