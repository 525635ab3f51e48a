"""Groups of boxes: edges, sectors, what is unknown, and what the data tell."""

import numpy as np
import pytest
from made_boxes import matched

from bev.evaluation.breakdown.divisions import divisions


def groups(boxes) -> dict[str, list[str]]:
    """Names of the groups of the ground-truth boxes, by division; empty for none."""
    return {
        one.name: ["" if group < 0 else one.groups[group] for group in one.gt_group]
        for one in divisions(boxes)
    }


def test_bands_include_their_lower_edge():
    places = [(0, 0), (9.99, 0), (6, 8), (0, -20), (50, 0), (300, 400)]
    rows = [("a", "van", *place) for place in places]
    assert groups(matched(rows, rows))["range"] == [
        "0-10 m", "0-10 m", "10-20 m", "20-30 m", "50+ m", "50+ m",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("degrees", "sector"),
    [(0, "front"), (29, "front"), (-29, "front"), (31, "front left"), (91, "back left"),
     (180, "back"), (-151, "back"), (-149, "back right"), (-31, "front right")],
)  # fmt: skip
def test_sectors_go_round_the_vehicle(degrees, sector):
    angle = np.radians(degrees)
    rows = [("a", "van", 10 * np.cos(angle), 10 * np.sin(angle))]
    assert groups(matched(rows, rows))["azimuth"] == [sector]


def test_size_is_the_longer_side_and_speed_is_of_classes_that_move():
    rows = [
        ("a", "van", 5, 0, {"size": (0.5, 4.0, 9.0), "velocity": (3.0, 4.0)}),
        ("a", "van", 9, 0, {"size": (8.0, 2.0, 1.0), "velocity": (np.nan, np.nan)}),
        ("a", "gate", 9, 9, {"velocity": (3.0, 4.0)}),
    ]
    found = groups(matched([], rows))
    assert found["size"] == ["2.5-5 m", "8+ m", "1-2.5 m"]
    assert found["speed"] == ["5-10 m/s", "", ""]


def test_only_what_the_data_tell_is_a_division():
    rows = [("a", "van", 5, 0), ("b", "van", 5, 0)]
    plain = matched(rows, rows, ("a", "b"), ("one", "two"), {"one": "Parked vans"})
    assert {"visibility", "time", "weather"} & {*groups(plain)} == set()
    told = matched(rows, rows, ("a", "b"), ("one", "two"), {"two": "Night, after rain"})
    assert groups(told)["time"] == ["day", "night"]
    assert groups(told)["weather"] == ["dry", "rain"]
