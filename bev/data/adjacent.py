"""Choice of the adjacent frames of each key frame within its scene.

Offsets are counted in key frames, in sweeps (the chain of sensor data of each camera, if the source
has sweeps) or in seconds. A frame beyond the start or end of a scene is replaced by the nearest
existing one, at the ends by the key frame itself; the time difference is that of the frame used.

In training a scene can be played back at another rate r, also backwards: the frame r seconds
earlier replaces the frame one second earlier, its time difference is divided by r (to one second),
and ground-truth velocities are multiplied by r. Objects keep a nearly constant speed through a
scene, so a network can memorise speeds instead of estimating motion; a rate drawn at each visit
prevents this.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

from bev.bounds import Natural, Positive, check_bounds


@dataclass(frozen=True)
class AdjacentConfig:
    """Settings of the adjacent frames of each key frame.

    Attributes:
        previous: number of earlier frames.
        following: number of later frames.
        step: distance between consecutive frames, in units.
        unit: "key_frames" (2 per second in nuScenes); "sweeps", all images of each camera (12 per
            second), key frames included; or "seconds", the image of each camera nearest in time.
        playback: playback rates, one of which is drawn at each visit in training; negative rates
            play the scene backwards. (1.0,) is off.
    """

    previous: Natural = 0
    following: Natural = 0
    step: Positive = 1.0
    unit: Literal["key_frames", "sweeps", "seconds"] = "key_frames"
    playback: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        check_bounds(self, "data.adjacent")

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about steps and rates that cannot be used."""
        if self.unit != "seconds" and self.step % 1 != 0:
            yield f"data.adjacent.step = {self.step} is not a whole number of {self.unit}."
        if not self.playback or not all(0 < abs(rate) < math.inf for rate in self.playback):
            yield (
                f"data.adjacent.playback = {self.playback} must contain at least one rate; rates"
                " must be finite and not 0 (1 is the original speed, -1 the same backwards)."
            )
            return
        if self.plays and not self.offsets():
            yield (
                f"data.adjacent.playback = {self.playback} needs adjacent frames, because a single"
                " frame does not show the rate; set data.adjacent.previous or following, or set"
                " playback to 1."
            )
        broken = [rate for rate in self.playback if (self.step * abs(rate) + 1e-6) % 1 > 2e-6]
        if self.unit != "seconds" and broken:
            yield (
                f"data.adjacent.playback: {broken[0]:g} times the step of {self.step:g} is not a"
                f" whole number of {self.unit}."
            )

    @property
    def plays(self) -> bool:
        """True if training plays scenes back at other rates than 1."""
        return set(self.playback) != {1.0}

    def offsets(self, rate: float = 1.0) -> tuple[float, ...]:
        """Offsets of the adjacent frames, in units, multiplied by the playback rate.

        Earlier frames have negative offsets. The previous frames come first, then the following
        ones, each nearest first.
        """
        before = [-self.step * k for k in range(1, self.previous + 1)]
        after = [self.step * k for k in range(1, self.following + 1)]
        return tuple(rate * offset for offset in (*before, *after))


ALONE = AdjacentConfig()  # no adjacent frames


def neighbours(
    times: Int[np.ndarray, " n"], place: int, config: AdjacentConfig, rate: float = 1.0
) -> list[int]:
    """Indices of the adjacent frames of a key frame, in the order of ``config.offsets``.

    Args:
        times: timestamps of the scene's key frames, microseconds, ascending.
        place: index of the key frame.
        config: settings in key frames or seconds.
        rate: playback rate.
    """
    last, places = len(times) - 1, []
    for offset in config.offsets(rate):
        if config.unit == "key_frames":
            places.append(min(max(place + round(offset), 0), last))
            continue
        # On the side of the offset: the nearest in time; of equally near ones the farther one.
        side = times[: place + 1][::-1] if offset < 0 else times[place:]
        away = np.abs(side - (times[place] + round(offset * 1e6)))
        steps = int(np.flatnonzero(away == away.min())[-1])
        places.append(place - steps if offset < 0 else place + steps)
    return places
