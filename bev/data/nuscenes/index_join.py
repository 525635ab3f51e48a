"""From the tables' columns to the index's: tokens become row numbers, boxes get their velocity.

The idea: a join of two tables is a sort of one's tokens and a binary search of the other's, all in
NumPy. A reference that leads nowhere is an error where the devkit would fail on it too; a neighbour
(``prev``, ``next``) of a sample or a reading that the tables do not hold counts as none, so that a
part cut out of a data set can be used. What the numbers must be stands in
``bev.data.nuscenes.values``.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np

from bev.data.nuscenes.index import NO_ROW, PARTS, find
from bev.data.nuscenes.tables import table_file
from bev.data.nuscenes.values import Columns, no_box, no_lens, no_pose, told
from bev.errors import DataError

# Radar is not read: see bev/data/nuscenes/index.py.
_MODALITIES = (b"camera", b"lidar")
_POSE = ("translation", "rotation")
ALL_DAMAGE = "bevlab check-data {} lists all damage"
# The devkit's rule: neighbouring boxes further apart in time, in seconds, give no velocity.
_LONGEST_STEP = 1.5


def join(folder: Path, tables: Mapping[str, Columns]) -> dict[str, dict[str, np.ndarray]]:
    """The index's columns by part.

    Args:
        folder: the version's folder, for messages.
        tables: by name, as ``bev.data.nuscenes.tables.read_table`` gives them.

    Raises:
        DataError: for a token that occurs twice, a reference that leads nowhere, a pose or a lens
            that is none, and a second key frame of a sensor in a sample.
    """
    tokens = {
        name: _Tokens(folder, name, columns["token"])
        for name, columns in tables.items()
        if name != "ego_pose"  # joined once, where it is needed, to keep its sort short-lived
    }
    sensor, channel_of_sensor = _channels(tables["sensor"])
    data = _sample_data(folder, tables, tokens, sensor, channel_of_sensor)
    annotation, starts = _annotations(tables, tokens)
    samples = tables["sample"]
    available = {
        **tables,
        "sensor": sensor,
        "sample_data": data,
        "sample_annotation": annotation,
        "sample": {
            **samples,
            "by_token": tokens["sample"].order,
            "scene": tokens["scene"].rows(samples["scene_token"], "sample", "scene_token"),
            "prev": tokens["sample"].neighbours(samples["prev"]),
            "next": tokens["sample"].neighbours(samples["next"]),
            "annotations": starts,
            "data": _key_frames(folder, data, samples, sensor["channel"]),
        },
    }
    return {
        part: {field.name: available[part][field.name] for field in fields(columns)}
        for part, columns in PARTS.items()
    }


class _Tokens:
    """A table's tokens, sorted, to look rows up by."""

    def __init__(self, folder: Path, table: str, tokens: np.ndarray) -> None:
        self.folder, self.table, self.tokens = folder, table, tokens
        self.order = np.argsort(tokens, kind="stable").astype(np.int32)
        ordered = tokens[self.order]
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if len(twice):
            raise DataError(
                f"Table {table_file(folder, table)} has token {twice[0].decode()} twice; remove a"
                " row or fetch the table again."
            )

    def rows(self, wanted: np.ndarray, table: str, field: str) -> np.ndarray:
        """Rows of tokens that ``table`` names in ``field``; every one must be here."""
        rows = self.neighbours(wanted)
        if (rows == NO_ROW).any():
            token = wanted[np.argmax(rows == NO_ROW)].decode()
            raise DataError(
                f"Table {table_file(self.folder, table)} names a {field} {token!r} that"
                f" {self.table}.json does not hold; fetch the tables again."
            )
        return rows

    def neighbours(self, wanted: np.ndarray) -> np.ndarray:
        """Rows of tokens, ``NO_ROW`` where one is empty or not here."""
        return find(self.tokens, self.order, wanted).astype(np.int32)


def _channels(sensor: Columns) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Cameras' and lidars' channels, each once, and the channel of each row of ``sensor``."""
    used = np.isin(sensor["modality"], _MODALITIES)
    names = list(dict.fromkeys(sensor["channel"][used].tolist()))
    channel = np.array([names.index(n) if n in names else NO_ROW for n in sensor["channel"]], int)
    channel[~used] = NO_ROW
    first = [int(np.argmax(channel == row)) for row in range(len(names))]
    return {name: sensor[name][first] for name in ("channel", "modality")}, channel


def _sample_data(
    folder: Path,
    tables: Mapping[str, Columns],
    tokens: Mapping[str, _Tokens],
    sensor: Columns,
    channel_of_sensor: np.ndarray,
) -> dict[str, np.ndarray]:
    data, mounting = tables["sample_data"], tables["calibrated_sensor"]
    calibrated = tokens["calibrated_sensor"].rows(
        data["calibrated_sensor_token"], "sample_data", "calibrated_sensor_token"
    )
    mounted = tokens["sensor"].rows(mounting["sensor_token"], "calibrated_sensor", "sensor_token")
    channel = channel_of_sensor[mounted][calibrated]
    kept = np.flatnonzero(channel != NO_ROW)
    new_row = np.full(len(channel) + 1, NO_ROW, np.int32)  # the last entry is for NO_ROW itself
    new_row[kept] = np.arange(len(kept))
    poses = tables["ego_pose"]
    pose = _Tokens(folder, "ego_pose", poses["token"]).rows(
        data["ego_pose_token"][kept], "sample_data", "ego_pose_token"
    )
    modality = tables["sensor"]["modality"][mounted]
    _check_mountings(folder, mounting, np.unique(calibrated[kept]), modality == b"camera")
    plain = ("timestamp", "is_key_frame", "height", "width", "filename")
    columns = {
        **{name: data[name][kept] for name in plain},
        "sample": tokens["sample"].rows(data["sample_token"][kept], "sample_data", "sample_token"),
        "channel": channel[kept].astype(np.int16),
        "calibrated_sensor": calibrated[kept],
        "prev": new_row[tokens["sample_data"].neighbours(data["prev"][kept])],
        "next": new_row[tokens["sample_data"].neighbours(data["next"][kept])],
        "translation": poses["translation"][pose],
        "rotation": poses["rotation"][pose],
    }
    bad = np.flatnonzero(no_pose(columns))
    if len(bad):
        raise _unusable(folder, "ego_pose", poses, int(pose[bad[0]]), _POSE)
    return columns


def _check_mountings(
    folder: Path, mounting: Columns, used: np.ndarray, is_camera: np.ndarray
) -> None:
    """Refuse a sensor in use that stands nowhere, and a camera without a lens."""
    bad = no_pose(mounting)[used]
    if bad.any():
        raise _unusable(folder, "calibrated_sensor", mounting, int(used[np.argmax(bad)]), _POSE)
    bad = no_lens(mounting)[used] & is_camera[used]
    if bad.any():
        row, fields = int(used[np.argmax(bad)]), ("camera_intrinsic",)
        raise _unusable(folder, "calibrated_sensor", mounting, row, fields)


def _unusable(
    folder: Path, table: str, columns: Columns, row: int, fields: tuple[str, ...]
) -> DataError:
    return DataError(
        f"Table {table_file(folder, table)}, row {columns['token'][row].decode()}:"
        f" {told(columns, row, fields)} cannot be used; mend the row or fetch the table again"
        f" ({ALL_DAMAGE.format(folder.parent)})."
    )


def _key_frames(folder: Path, data: Columns, samples: Columns, channels: np.ndarray) -> np.ndarray:
    """(samples, channels) row in ``sample_data`` of each sensor's key frame, or ``NO_ROW``."""
    key_frames = np.full((len(samples["token"]), len(channels)), NO_ROW, np.int32)
    rows = np.flatnonzero(data["is_key_frame"])
    sample, channel = data["sample"][rows], data["channel"][rows]
    key_frames[sample, channel] = rows
    second = key_frames[sample, channel] != rows
    if second.any():
        first = int(np.argmax(second))
        pair = rows[first], key_frames[sample[first], channel[first]]
        raise DataError(
            f"Table {table_file(folder, 'sample_data')} has two key frames of"
            f" {channels[channel[first]].decode()} for sample"
            f" {samples['token'][sample[first]].decode()}:"
            f" {' and '.join(data['filename'][row].decode() for row in pair)}; remove one"
            f" ({ALL_DAMAGE.format(folder.parent)})."
        )
    return key_frames


def _annotations(
    tables: Mapping[str, Columns], tokens: Mapping[str, _Tokens]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The boxes sorted by sample, and where each sample's begin (and the last one's end).

    Without those that ``no_box`` marks.
    """
    boxes, table = tables["sample_annotation"], "sample_annotation"
    sample = tokens["sample"].rows(boxes["sample_token"], table, "sample_token")
    instance = tokens["instance"].rows(boxes["instance_token"], table, "instance_token")
    category = tokens["category"].rows(
        tables["instance"]["category_token"], "instance", "category_token"
    )
    attribute = np.full(len(sample), NO_ROW, np.int16)
    has_one = boxes["attribute_count"] > 0
    attribute[has_one] = tokens["attribute"].rows(
        boxes["attribute_token"][has_one], table, "attribute_tokens"
    )
    order = np.argsort(sample, kind="stable")
    order = order[~no_box(boxes)[order]]
    count = len(tables["sample"]["token"])
    plain = (
        "attribute_count", "visibility", "num_lidar_pts", "num_radar_pts",
        "translation", "size", "rotation",
    )  # fmt: skip
    columns = {
        **{name: boxes[name] for name in plain},
        "instance": instance,
        "category": category[instance].astype(np.int16),
        "attribute": attribute,
        "velocity": _velocity(boxes, tokens[table], tables["sample"]["timestamp"][sample]),
    }
    starts = np.searchsorted(sample[order], np.arange(count + 1))
    return {name: column[order] for name, column in columns.items()}, starts


def _velocity(boxes: Columns, tokens: _Tokens, timestamp: np.ndarray) -> np.ndarray:
    """(A, 2) of each box, by the rule of the devkit's ``box_velocity``.

    The difference between the track's previous and next box, or between this one and the only
    neighbour there is. NaN, too, where the devkit has infinity.
    """
    own = np.arange(len(timestamp))
    ends = []
    for field in ("prev", "next"):
        there = boxes[field] != b""
        row = own.copy()
        row[there] = tokens.rows(boxes[field][there], "sample_annotation", field)
        ends.append((row, there))
    (first, has_prev), (last, has_next) = ends
    seconds = 1e-6 * timestamp[last] - 1e-6 * timestamp[first]
    longest = np.where(has_prev & has_next, 2 * _LONGEST_STEP, _LONGEST_STEP)
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = boxes["translation"][last, :2] - boxes["translation"][first, :2]
        velocity = moved / seconds[:, None]
    unknown = ~(has_prev | has_next) | (seconds > longest) | ~np.isfinite(velocity).all(axis=1)
    velocity[unknown] = np.nan
    return velocity
