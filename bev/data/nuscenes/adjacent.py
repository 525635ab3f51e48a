"""Adjacent frames of nuScenes: the sample_data records before and after a key frame.

In sweeps, each camera follows its own chain of sample_data records; in seconds, each camera takes
its record nearest in time. See ``bev.data.adjacent`` for the general rules.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import NamedTuple

from bev.data.adjacent import AdjacentConfig
from bev.data.nuscenes.index import NO_ROW, Index, reference_row


class Moment(NamedTuple):
    """Sensor data of a rig at approximately one time.

    Attributes:
        rows: rows of ``sample_data``, one per requested channel; ``NO_ROW`` if there is none.
        reference: row of ``sample_data`` whose ego pose is used: the reference row of a key frame,
            or the row of the first available channel between key frames.
        seconds: time relative to the requesting key frame, divided by the playback rate; negative
            for earlier moments.
        name: token of a key frame, otherwise the names of the files.
    """

    rows: tuple[int, ...]
    reference: int
    seconds: float
    name: str


def adjacent_moments(
    index: Index, sample: int, channels: list[int], config: AdjacentConfig, rate: float = 1.0
) -> list[Moment]:
    """The adjacent frames of a key frame, in the order of ``config.offsets``.

    Args:
        index: opened data set.
        sample: row of the key frame.
        channels: rows of ``sensor``.
        config: settings of the adjacent frames.
        rate: playback rate.
    """
    key_rows = _key_frame_rows(index, sample, channels)
    data, moments = index.sample_data, []
    rows: Sequence[int]
    for offset in config.offsets(rate):
        if config.unit == "key_frames":
            other = _walk(index.sample, sample, round(offset))
            rows, name = _key_frame_rows(index, other, channels), index.token_of(other)
            origin, reference = reference_row(index, sample), reference_row(index, other)
        else:
            if config.unit == "sweeps":
                rows = [_walk(data, row, round(offset)) for row in key_rows]
            else:
                rows = [_nearest(index, row, round(offset * 1e6)) for row in key_rows]
            origin, reference = next(
                (pair for pair in zip(key_rows, rows, strict=True) if NO_ROW not in pair),
                2 * (reference_row(index, sample),),
            )
            # Cameras are followed separately, so two moments may share some of their files.
            name = " ".join(data.filename[row].decode() for row in rows if row != NO_ROW)
        seconds = (int(data.timestamp[reference]) - int(data.timestamp[origin])) * 1e-6
        moments.append(Moment(tuple(rows), reference, seconds / rate, name))
    return moments


def _key_frame_rows(index: Index, sample: int, channels: list[int]) -> tuple[int, ...]:
    return tuple(int(row) for row in index.sample.data[sample, channels])


def _walk(table: SimpleNamespace, row: int, steps: int) -> int:
    """Follow ``next`` (or ``prev``, if negative) for some steps, or to the end of the chain."""
    chain = table.prev if steps < 0 else table.next
    for _ in range(abs(steps)):
        if row == NO_ROW or chain[row] == NO_ROW:
            break
        row = int(chain[row])
    return row


def _nearest(index: Index, row: int, microseconds: int) -> int:
    """The row of the same sensor whose time is nearest to that of ``row`` plus an offset."""
    if row == NO_ROW:
        return row
    data = index.sample_data
    wanted = int(data.timestamp[row]) + microseconds
    chain = data.prev if microseconds < 0 else data.next

    def distance(other: int) -> int:
        return abs(int(data.timestamp[other]) - wanted)

    while chain[row] != NO_ROW and distance(int(chain[row])) <= distance(row):
        row = int(chain[row])
    return row
