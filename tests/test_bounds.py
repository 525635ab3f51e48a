"""Bounds of settings: every rule refuses what is outside, a whole config is checked at once."""

import math
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Annotated

import pytest

from bev.bounds import Ascending, Bound, Count, Length, check_bounds, faults, gathered
from bev.config import Experiment, load_file, shipped_configs
from bev.errors import ConfigError
from bev.training.settings import TrainConfig


@dataclass(frozen=True)
class Inner:
    sizes: Annotated[tuple[Count, ...], Length(least=1)] = (1,)
    share: Annotated[float, Bound(above=0, most=1)] = 1.0


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    strides: Annotated[tuple[int, ...], Ascending(empty=False)] = (1, 2)
    band: Annotated[tuple[float, float], Ascending(strict=False)] = (0.0, 0.0)
    reach: Annotated[float, Bound(above=0, finite=False)] = 1.0
    maybe: Count | None = None
    free: float = 0.0
    flag: bool = False
    pairs: tuple[tuple[str, Annotated[float, Bound(least=0)]], ...] = ()


GOOD = [
    Outer(),
    Outer(Inner((3, 1)), (8, 16), (1.0, 1.0), math.inf, 2, math.inf, True, (("a", 0.0),)),
]

BAD = {
    "inner.sizes is (1, 0)": Outer(Inner((1, 0))),
    "inner.sizes is ()": Outer(Inner(())),
    "inner.share is 0.0": Outer(Inner(share=0.0)),
    "inner.share is 1.5": Outer(Inner(share=1.5)),
    "inner.share is '1'": Outer(Inner(share="1")),
    "strides is (16, 8)": Outer(strides=(16, 8)),
    "strides is (8, 8)": Outer(strides=(8, 8)),
    "strides is ()": Outer(strides=()),
    "strides is (1, 2.5)": Outer(strides=(1, 2.5)),
    "band is (1.0, 0.0)": Outer(band=(1.0, 0.0)),
    "band is (0.0, nan)": Outer(band=(0.0, math.nan)),
    "reach is 0.0": Outer(reach=0.0),
    "reach is nan": Outer(reach=math.nan),
    "maybe is 0": Outer(maybe=0),
    "maybe is True": Outer(maybe=True),
    "free is nan": Outer(free=math.nan),
    "free is a number of 16610 bits": Outer(free=10**5000),
    "maybe is a number of 16610 bits": Outer(maybe=10**5000),
    "reach is a number of 16610 bits": Outer(reach=-(10**5000)),
    "pairs is ('a', -1.0)": Outer(pairs=(("a", -1.0),)),
}


@pytest.mark.parametrize("good", GOOD)
def test_values_within_their_bounds_pass(good):
    assert faults(good) == []


@pytest.mark.parametrize("message", BAD)
def test_each_value_outside_is_named(message):
    (fault,) = faults(BAD[message])
    assert fault.text.startswith(f"{message}; set it to ")


def test_all_faults_are_in_one_message_unless_gathered():
    bad = Outer(Inner((0,), 2.0), (2, 1))
    with pytest.raises(ConfigError) as caught:
        check_bounds(bad, "here")
    assert str(caught.value).startswith("3 settings cannot be used: here.inner.sizes is (0,)")
    with gathered():
        check_bounds(bad)


def test_numbers_of_this_package_are_finite_and_its_shipped_configs_within_bounds():
    """Infinity may have a meaning in a class of a user, never in one of this package."""
    train = faults(replace(TrainConfig(), lr=math.inf, max_minutes=math.inf))
    assert [fault.name for fault in train] == ["max_minutes", "lr"]
    for name in shipped_configs():
        if not name.startswith("ablations/"):
            assert faults(load_file(name)) == [], name


def test_every_number_of_an_experiment_is_bounded():
    """A new numeric setting declares its bounds, or stands here with the reason."""
    free = {
        "BackboneConfig.mean",  # any colour
        "BevGrid.x", "BevGrid.y", "BevGrid.z", "DepthBins.lo", "DepthBins.hi", "DepthBins.step",
        "AdjacentConfig.playback",  # checked together by their classes
        "SegmentationHeadConfig.min_visibility",  # 1 or 2, checked by its class
    }  # fmt: skip
    assert _unbounded(Experiment()) - free == set()


def _unbounded(config) -> set[str]:
    from bev.bounds import _hints

    found = set()
    for f in fields(config):
        value, text = getattr(config, f.name), str(_hints(type(config))[f.name])
        if is_dataclass(value):
            found |= _unbounded(value)
        elif ("int" in text or "float" in text) and "Bound(" not in text:
            found.add(f"{type(config).__name__}.{f.name}")
    return found
