"""Bounds of settings: every rule refuses what is outside, a whole config is checked at once."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import jaxtyping
import pytest

from bev.bounds import (
    Ascending,
    Bound,
    Count,
    Length,
    check_bounds,
    check_clashes,
    faults,
    gathered,
)
from bev.config import Experiment, load_file, shipped_configs
from bev.data.sampling import SamplingConfig
from bev.data.settings import DataConfig
from bev.errors import ConfigError
from bev.geometry.grid import BevGrid
from bev.training.settings import StageConfig, TrainConfig


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
    names: tuple[str, ...] = ()
    choice: Literal["a", 1] = "a"
    place: Path | None = None
    text: str = ""
    either: Callable[[], int] | type | partial | None = None
    anything: Any = None
    listed: Sequence[int] = ()


GOOD = [
    Outer(),
    Outer(Inner((3, 1)), (8, 16), (1.0, 1.0), math.inf, 2, math.inf, True, (("a", 0.0),)),
    Outer(names=("a",), choice=1, place=Path("a"), either=Inner, anything="a", listed=[1]),
    Outer(either=partial(Inner), anything=Inner),
    Outer(either=lambda: 1),
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
    "reach is -inf": Outer(reach=-math.inf),
}

# Values of another type: what is meant.
MISTYPED = {
    "pairs is ('a', 1.0); set it to values that are each a tuple of 2 values.": Outer(
        pairs=("a", 1.0)
    ),
    "names is 'CAM'; set it to a tuple, such as ('CAM',).": Outer(names="CAM"),
    "names is ['CAM']; set it to a tuple.": Outer(names=["CAM"]),
    "names is ('a', 1); set it to values that are each a string.": Outer(names=("a", 1)),
    "strides is 8; set it to a tuple, such as (8,).": Outer(strides=8),
    "band is 1.0; set it to a tuple of 2 values.": Outer(band=1.0),
    "choice is 'b'; set it to 'a' or 1.": Outer(choice="b"),
    "choice is True; set it to 'a' or 1.": Outer(choice=True),
    "flag is 'no'; set it to True or False.": Outer(flag="no"),
    "flag is 1; set it to True or False.": Outer(flag=1),
    "place is 'a'; set it to a Path or None.": Outer(place="a"),
    "text is 1; set it to a string.": Outer(text=1),
    "inner is None; set it to an Inner.": Outer(inner=None),
    f"inner is {Inner}; set it to an Inner.": Outer(inner=Inner),
    "inner is Outer(": Outer(inner=Outer()),
    "free is None; set it to a number.": Outer(free=None),
    "maybe is 'a'; set it to a whole number or None.": Outer(maybe="a"),
    "listed is 1; set it to a Sequence.": Outer(listed=1),
}


@pytest.mark.parametrize("good", GOOD)
def test_values_within_their_bounds_pass(good):
    assert faults(good) == []


@pytest.mark.parametrize("message", BAD)
def test_each_value_outside_is_named(message):
    (fault,) = faults(BAD[message])
    assert fault.text.startswith(f"{message}; set it to ")


@pytest.mark.parametrize("message", MISTYPED)
def test_each_value_of_another_type_is_named_with_what_is_meant(message):
    (fault,) = faults(MISTYPED[message])
    assert fault.text.startswith(message) and fault.mistyped


@dataclass(frozen=True)
class Staged:
    starts: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        check_clashes(self)

    def clashes(self):
        if self.starts[0] != 0:
            yield "starts does not begin at 0."


def test_clashes_are_not_looked_for_among_values_of_another_type():
    """Nor does a class that looks for them when it is created end in their error."""
    with pytest.raises(ConfigError, match=r"^Staged.starts is 5.0; set it to a tuple, such as"):
        Staged(starts=5.0)
    with pytest.raises(ConfigError, match=r"^starts does not begin at 0\.$"):
        Staged(starts=(1.0,))
    with gathered():
        wrong = Staged(starts="12")
    assert [fault.name for fault in faults(wrong)] == ["starts"]


@pytest.fixture
def unchecked_types():
    """Types of bev's dataclasses as for a user: the tests check them otherwise."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataConfig(cameras="CAM_FRONT"), "data.cameras is 'CAM_FRONT'; set it to a tuple"),
        (lambda: DataConfig(image_size=256), "data.image_size is 256; set it to a tuple of 2 val"),
        (lambda: DataConfig(missing_cameras="Skip"), "data.missing_cameras is 'Skip'; set it to '"),
        (lambda: DataConfig(reference="Lidar"), "data.reference is 'Lidar'; set it to 'ego' or 'l"),
        (lambda: DataConfig(lidar="no"), "data.lidar is 'no'; set it to True or False."),
        (lambda: DataConfig(adjacent=None), "data.adjacent is None; set it to an AdjacentConfig."),
        (lambda: DataConfig(root="here"), "data.root is 'here'; set it to a Path."),
        (
            lambda: DataConfig(sampling=SamplingConfig(by="classes")),
            "data.sampling.by is 'classes'; set it to 'frame' or 'class' or 'weight' or 'scene'.",
        ),
        (
            lambda: DataConfig(sampling=SamplingConfig("weight", (("bus", 2.0)))),
            "data.sampling.class_weights is ('bus', 2.0); set it to values that are each a tuple",
        ),
        (lambda: TrainConfig(stages=StageConfig()), "TrainConfig.stages is StageConfig("),
        (lambda: BevGrid(x=0.8), "BevGrid.x is 0.8; set it to a tuple of 3 values."),
        (lambda: Experiment(train=None), "train is None; set it to a TrainConfig."),
        (lambda: Experiment(name=3), "name is 3; set it to a string."),
    ],
)
def test_a_config_in_python_with_a_value_of_another_type_is_refused(make, message, unchecked_types):
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value).startswith(message)


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
        if "/" not in name:  # neither a study nor a search
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
