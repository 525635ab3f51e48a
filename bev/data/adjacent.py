"""Adjacent frames: which of a scene's frames come with each key frame.

Counted in key frames, in sweeps (every camera's own chain of readings, where a source has these) or
in seconds. A neighbour that a scene's start or end cuts off is replaced by the nearest one that
exists, at the ends by the frame itself; the time between tells which it was.

In training a scene can be played at another rate r, backwards too, as a film can: in place of the
frame a second before comes the one r seconds before, told as a second, and velocities are r times
those of the truth. Objects keep about one speed through a scene, and a network can learn these by
heart in place of motion; at a rate drawn anew at each visit that alone no longer serves.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

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


def neighbours(
    times: Int[np.ndarray, " n"], place: int, config: AdjacentConfig, rate: float = 1.0
) -> list[int]:
    """Places of the adjacent frames of a key frame, in the order of ``config.offsets``.

    Args:
        times: of the scene's key frames, microseconds, ascending.
        place: of the key frame among them.
        config: not of sweeps.
        rate: how many times its own speed the scene is played.
    """
    last, found = len(times) - 1, []
    for offset in config.offsets(rate):
        if config.unit == "key_frames":
            found.append(min(max(place + round(offset), 0), last))
            continue
        # Of those on the offset's side, the farthest among the nearest in time.
        side = times[: place + 1][::-1] if offset < 0 else times[place:]
        away = np.abs(side - (times[place] + round(offset * 1e6)))
        steps = int(np.flatnonzero(away == away.min())[-1])
        found.append(place - steps if offset < 0 else place + steps)
    return found
