"""Poses of the ego vehicle: read from CSV or JSON, and interpolated at the times of images."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from pyquaternion import Quaternion
from torch import Tensor

from bev.data.rig.moments import Times
from bev.data.rig.rows import Row, read_rows
from bev.data.rig.values import numbers, pose_of
from bev.errors import DataError

_OUTSIDE = 100_000  # microseconds before the first pose or after the last that are extrapolated
_APART = 2_000_000  # microseconds between poses that are not interpolated
_FARTHEST = 1e8  # metres, further than any coordinate on Earth
_COLUMNS = ("x", "y", "z", "qw", "qx", "qy", "qz")


@dataclass(frozen=True)
class Trajectory:
    """Poses ``global_from_ego`` of one sequence in order of time.

    Attributes:
        times: (P,) microseconds, ascending.
        positions: (P, 3) metres.
        rotations: unit quaternions.
    """

    times: Int[np.ndarray, " P"]
    positions: Float[np.ndarray, "P 3"]
    rotations: list[Quaternion]

    def at(self, time: int, what: str) -> Float[Tensor, "4 4"]:
        """Pose at a time: positions are interpolated linearly, rotations along the shortest arc.

        Up to 0.1 s before the first pose or after the last, the motion goes on.

        Args:
            time: microseconds.
            what: description of what has this time, the beginning of messages.

        Raises:
            DataError: if the time is further outside, or between poses more than 2 s apart.
        """
        times = self.times
        first, last = int(times[0]), int(times[-1])
        early, late = (first - time) * 1e-6, (time - last) * 1e-6
        if time < first - _OUTSIDE or time > last + _OUTSIDE:
            side = (
                f"{early:.6g} s before the first" if early > 0 else f"{late:.6g} s after the last"
            )
            raise DataError(
                f"{what} was taken {side} of the poses ({first} to {last} microseconds); give poses"
                " for all images, on the same clock."
            )
        if len(times) == 1:
            return _matrix(self.positions[0], self.rotations[0])
        after = int(np.clip(np.searchsorted(times, time, side="left"), 1, len(times) - 1))
        start, end = int(times[after - 1]), int(times[after])
        if end - start > _APART and time not in (start, end):
            raise DataError(
                f"{what} lies between poses that are {(end - start) * 1e-6:.3g} s apart; give at"
                " least a pose every 2 s."
            )
        share = (time - start) / (end - start)
        before, behind = self.positions[after - 1], self.positions[after]
        rotation = _turned(self.rotations[after - 1], self.rotations[after], share)
        return _matrix(before + share * (behind - before), rotation)


@dataclass(frozen=True)
class Poses:
    """Poses of sequences, by time or by moment.

    Attributes:
        path: file that they were read from.
        by_time: trajectory of each sequence; under the empty name for all sequences.
        by_moment: pose of each (sequence, moment), if the poses have no times.
        named: place in the file, (sequence, moment) and time of the rows that have both.
    """

    path: Path
    by_time: dict[str, Trajectory] = field(default_factory=dict)
    by_moment: dict[tuple[str, str], Float[Tensor, "4 4"]] = field(default_factory=dict)
    named: list[tuple[str, tuple[str, str], int]] = field(default_factory=list)

    def times_of_moments(self) -> Times | None:
        """Times of the moments that rows with a time name; None if they name none.

        Raises:
            DataError: if two rows name one moment.
        """
        times: dict[tuple[str, str], int] = {}
        for where, key, time in self.named:
            if key in times:
                raise DataError(
                    f"{where} has moment {key[1]} again, and the images have no times; remove one"
                    " of the rows, or give times."
                )
            times[key] = time
        return Times(self.path, {}, times, "Poses") if times else None

    def of_moment(self, sequence: str, moment: str) -> Float[Tensor, "4 4"]:
        """Pose of a moment.

        Raises:
            DataError: if there is none.
        """
        for key in ((sequence, moment), ("", moment)):
            if key in self.by_moment:
                return self.by_moment[key]
        of = f" of sequence {sequence}" if sequence else ""
        raise DataError(f"Poses {self.path} have no row for moment {moment}{of}; add it.")

    def of_sequence(self, sequence: str) -> Trajectory:
        """Trajectory of a sequence.

        Raises:
            DataError: if there is none.
        """
        found = self.by_time.get(sequence, self.by_time.get(""))
        if found is None:
            known = ", ".join(list(self.by_time)[:5])
            raise DataError(
                f"Poses {self.path} have no row for sequence {sequence or 'without a name'}; they"
                f" have {known}."
            )
        return found


def read_poses(path: Path) -> Poses:
    """Read poses ``global_from_ego``.

    A row has x, y and z in metres and qw, qx, qy and qz, or translation and rotation (w, x, y, z)
    as lists, as nuScenes' ``ego_pose`` has them. It has a time (seconds, milliseconds,
    microseconds, nanoseconds; timestamp is microseconds), the name of a moment, or both, and if
    poses differ by sequence, the sequence. A time with a moment is that of the moment, if its
    images have none.

    Raises:
        DataError: if the file cannot be read, a row is incomplete, or two rows are for one time.
    """
    rows = read_rows(path, "Poses")
    timed: dict[str, list[tuple[int, Row]]] = {}
    by_moment: dict[tuple[str, str], Float[Tensor, "4 4"]] = {}
    named = []
    for row in rows:
        time, sequence, moment = row.time(), row.text("sequence"), row.text("moment")
        if time is not None:
            timed.setdefault(sequence, []).append((time, row))
            if moment:
                named.append((row.where, (sequence, moment), time))
        elif moment:
            if (sequence, moment) in by_moment:
                raise DataError(f"{row.where} has moment {moment} again; remove one of the rows.")
            by_moment[sequence, moment] = _matrix(*_pose(row))
        else:
            raise DataError(f"{row.where} has neither a time (seconds, …) nor a moment; add one.")
    if timed and by_moment:
        raise DataError(
            f"Poses {path} have rows with times and rows with a moment alone; give all rows a time."
        )
    by_time = {sequence: _trajectory(found) for sequence, found in timed.items()}
    return Poses(path, by_time, by_moment, named)


def _trajectory(found: list[tuple[int, Row]]) -> Trajectory:
    found = sorted(found, key=lambda pair: pair[0])
    for (time, _), (other, row) in zip(found, found[1:], strict=False):
        if time == other:
            raise DataError(f"{row.where} has time {time} microseconds again; remove one row.")
    poses = [_pose(row) for _, row in found]
    return Trajectory(
        np.array([time for time, _ in found], np.int64),
        np.array([position for position, _ in poses]),
        [rotation for _, rotation in poses],
    )


def _pose(row: Row) -> tuple[np.ndarray, Quaternion]:
    if "translation" in row.values or "rotation" in row.values:
        position = numbers(row.values.get("translation"), [3], f"{row.where}: translation")
        rotation = numbers(row.values.get("rotation"), [4], f"{row.where}: rotation")
    else:
        values = [row.number(column) for column in _COLUMNS]
        position, rotation = values[:3], values[3:]
    if not max(map(abs, position)) < _FARTHEST:
        raise DataError(f"{row.where}: {position} is no place in metres; correct it.")
    pose_of(position, rotation, f"{row.where}: rotation")  # checks the length
    return np.array(position), Quaternion(rotation).normalised


def _turned(start: Quaternion, end: Quaternion, share: float) -> Quaternion:
    """Rotation at a share of the way, which may lie outside of 0 to 1."""
    if np.dot(start.elements, end.elements) < 0:
        end = -end
    return start * (start.inverse * end) ** share


def _matrix(position: np.ndarray, rotation: Quaternion) -> Float[Tensor, "4 4"]:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation.rotation_matrix
    matrix[:3, 3] = position
    return torch.from_numpy(matrix)
