"""Patterns of image files: what they match, and which are open to several readings."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bev.data.rig.moments import nearest
from bev.data.rig.patterns import check_pattern, find_images
from bev.errors import DataError

STAMP = 1532402927612460
FILES = (
    "front/cam1532402927612460.jpg", "front/12.5_a.jpg", "one/7.jpg", "one/deep/8.jpg",
    "dots/cam0.1532402927612460.jpg", "dots/x2.25.jpg", "dots/12345.jpg",
)  # fmt: skip
DEEP = FILES[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("images")
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("front/*{microseconds}.jpg", {(FILES[0], "", "", STAMP)}),  # a * takes none of its digits
        ("front/{seconds}*.jpg", {(FILES[1], "", "", 12_500_000)}),
        ("dots/cam*{microseconds}.jpg", {(FILES[4], "", "", STAMP)}),
        ("dots/x*{seconds}.jpg", {(FILES[5], "", "", 2_250_000)}),
        ("dots/{seconds}*5.jpg", set()),  # part of a number is no time
        ("front/*_a.jpg", {(FILES[1], "", "12.5", None)}),
        ("{sequence}/{moment}.jpg", {(f, *f[:-4].split("/"), None) for f in FILES if f != DEEP}),
        ("./one/*.jpg", {(FILES[2], "", "7", None)}),
        ("one//*.jpg", {(FILES[2], "", "7", None)}),
        ("one/./*.jpg", {(FILES[2], "", "7", None)}),
        ("one/7.jpg", {(FILES[2], "", "", None)}),
    ],
)
def test_what_a_pattern_matches(pattern, expected, folder):
    check_pattern(pattern, "camera a")
    found = find_images(pattern, folder)
    assert expected == {
        (image.path.relative_to(folder).as_posix(), image.sequence, image.moment, image.time)
        for image in found
    }


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("front/*{moment}.jpg", r"has \*{moment}, and it is open where one ends"),
        ("{sequence}{moment}.jpg", "has {sequence}{moment}, and it is open where one ends"),
        ("front/{moment}{seconds}.jpg", "has {moment}{seconds}, and it is open"),
        ("{seconds}{sequence}/a.jpg", "has {seconds}{sequence}, and it is open"),
        ("**/{moment}.jpg", r"has \*\*, and it is open"),
        ("front/../one/*.jpg", r"contains '\.\.'"),
        (".", "names no file"),
        ("one/", "names no file"),
        ("../*.jpg", "leads outside of its folder"),
    ],
)
def test_patterns_without_one_meaning_are_refused(pattern, message):
    with pytest.raises(DataError, match=f"camera a: images .*{message}"):
        check_pattern(pattern, "camera a")


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(-5, 65))
def test_the_nearest_time_is_the_first_of_the_least_differences(times, time):
    ascending = np.array(sorted(times), np.int64)
    assert nearest(ascending, time) == int(np.abs(ascending - time).argmin())
