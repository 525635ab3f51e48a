"""Adjacent frames of nuScenes: which readings of a rig stand before and after a key frame.

Sweeps are every camera's own chain of readings, and in seconds each camera's reading nearest in
time is taken; see ``bev.data.adjacent`` for the rest.
"""

from typing import NamedTuple

from bev.data.adjacent import AdjacentConfig
from bev.data.nuscenes.index import NO_ROW, Index
from bev.data.nuscenes.sensor_data import reference_row


class Moment(NamedTuple):
    """What a rig saw at about one time.

    Attributes:
        readings: rows of ``sample_data``, one a channel asked for; ``NO_ROW`` where it is absent.
        reference: the reading whose ego pose is the moment's: a key frame's own reference, and
            between key frames that of the first channel.
        seconds: time since the key frame that it was asked for, as it is told: divided by the rate;
            negative for what is told to be earlier.
        name: token of a key frame, else the files of its readings.
    """

    readings: tuple[int, ...]
    reference: int
    seconds: float
    name: str


def adjacent_moments(
    index: Index, sample: int, channels: list[int], config: AdjacentConfig, rate: float = 1.0
) -> list[Moment]:
    """The adjacent frames of a key frame, in the order of ``config.offsets``.

    Args:
        sample: row of the key frame.
        channels: rows of ``sensor``.
        rate: how many times its own speed the scene is played.
    """
    own = _readings(index, sample, channels)
    data, moments = index.sample_data, []
    for offset in config.offsets(rate):
        if config.unit == "key_frames":
            other = _walk(index.sample, sample, round(offset))
            rows, name = _readings(index, other, channels), index.token_of(other)
            origin, reference = reference_row(index, sample), reference_row(index, other)
        else:
            if config.unit == "sweeps":
                rows = [_walk(data, row, round(offset)) for row in own]
            else:
                rows = [_nearest(index, row, round(offset * 1e6)) for row in own]
            origin, reference = next(
                (pair for pair in zip(own, rows, strict=True) if NO_ROW not in pair),
                2 * (reference_row(index, sample),),
            )
            # Each camera walks on its own: two moments may share some readings and not others.
            name = " ".join(data.filename[row].decode() for row in rows if row != NO_ROW)
        seconds = (int(data.timestamp[reference]) - int(data.timestamp[origin])) * 1e-6
        moments.append(Moment(tuple(rows), reference, seconds / rate, name))
    return moments


def _readings(index: Index, sample: int, channels: list[int]) -> tuple[int, ...]:
    return tuple(int(row) for row in index.sample.data[sample, channels])


def _walk(table, row: int, steps: int) -> int:
    """The row so many steps on along ``prev`` or ``next``, or the last one on the way."""
    chain = table.prev if steps < 0 else table.next
    for _ in range(abs(steps)):
        if row == NO_ROW or chain[row] == NO_ROW:
            break
        row = int(chain[row])
    return row


def _nearest(index: Index, row: int, microseconds: int) -> int:
    """The reading of the same sensor whose time is nearest to so much after a reading's own."""
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
