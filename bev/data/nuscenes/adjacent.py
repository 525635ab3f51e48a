"""Adjacent frames: which readings of a rig stand before and after a key frame, within its scene.

Counted in key frames, in sweeps (every camera's own chain of readings) or in seconds. A neighbour
that a scene's start or end cuts off is replaced by the nearest one that exists, at the ends by the
frame itself; the time between tells which it was.

In training a scene can be played at another rate r, backwards too, as a film can: in place of the
frame a second before comes the one r seconds before, told as a second, and velocities are r times
those of the truth. Objects keep about one speed through a scene, and a network can learn these by
heart in place of motion; at a rate drawn anew at each visit that alone no longer serves.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bev.data.nuscenes.index import NO_ROW, Index
from bev.data.nuscenes.sensor_data import reference_row
from bev.errors import ConfigError


@dataclass(frozen=True)
class AdjacentConfig:
    """Which adjacent frames come with each key frame.

    Attributes:
        previous: how many earlier ones.
        following: how many later ones.
        step: from one to the next, in units.
        unit: "key_frames" (2 a second in nuScenes); "sweeps", readings of each camera (12 a
            second), key frames among them; or "seconds", each camera's reading nearest in time.
        playback: rates of which each visit in training draws one: how many times its own speed the
            scene is played, backwards where negative. (1.0,) is off.
    """

    previous: int = 0
    following: int = 0
    step: float = 1.0
    unit: Literal["key_frames", "sweeps", "seconds"] = "key_frames"
    playback: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.previous < 0 or self.following < 0 or self.step <= 0:
            raise ConfigError(
                f"data.adjacent = {self} needs counts of at least 0 and a positive step."
            )
        if self.unit != "seconds" and self.step != int(self.step):
            raise ConfigError(
                f"data.adjacent.step = {self.step} is no whole number of {self.unit}."
            )
        if not self.playback or not all(0 < abs(rate) < math.inf for rate in self.playback):
            raise ConfigError(
                f"data.adjacent.playback = {self.playback} must name at least one rate, all"
                " finite and none 0; 1 is a scene's own speed, -1 the same backwards."
            )
        if self.plays and not self.offsets():
            raise ConfigError(
                f"data.adjacent.playback = {self.playback} plays scenes at other rates, which a"
                " key frame alone does not show; ask for adjacent frames, or set it to 1."
            )
        broken = [rate for rate in self.playback if (self.step * abs(rate) + 1e-6) % 1 > 2e-6]
        if self.unit != "seconds" and broken:
            raise ConfigError(
                f"data.adjacent.playback: {broken[0]:g} times the step of {self.step:g} is no whole"
                f" number of {self.unit}."
            )

    @property
    def plays(self) -> bool:
        """Whether training plays scenes at other rates than their own."""
        return set(self.playback) != {1.0}

    def offsets(self, rate: float = 1.0) -> tuple[float, ...]:
        """In units, earlier ones negative: nearest first, the previous before the following.

        Played at another rate, so much further away, and on the other side where it is negative.
        """
        before = [-self.step * k for k in range(1, self.previous + 1)]
        after = [self.step * k for k in range(1, self.following + 1)]
        return tuple(rate * offset for offset in (*before, *after))


ALONE = AdjacentConfig()  # a key frame without others


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
