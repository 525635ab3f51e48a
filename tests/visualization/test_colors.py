"""Classes are told apart by readers with any colour vision, in both themes."""

from itertools import combinations

import numpy as np
import pytest
from color_vision import DEFICIENCIES, difference, lab

from bev.data.nuscenes.classes import CLASSES, NUSCENES
from bev.visualization.colors import PALETTE, THEMES, class_color

COLORS = {name: class_color(NUSCENES, number) for number, name in enumerate(CLASSES)}


def test_the_difference_is_that_of_the_published_examples():
    """Pairs 1, 7, 17, 20 and 25 of Sharma, Wu and Dalal (2005)."""
    pairs = [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((50, 2.5, 0), (58, 24, 15), 19.4535),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ]
    for one, other, expected in pairs:
        found = difference(np.array(one, float), np.array(other, float))
        assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_classes_differ_from_one_another_and_from_ground_truth(deficiency):
    """CIEDE2000 of at least 11; 2.3 is a just noticeable difference."""
    seen = dict(zip(COLORS, lab(list(COLORS.values()), deficiency), strict=True))
    for one, other in combinations(seen, 2):
        assert difference(seen[one], seen[other]) > 11, (one, other)
    for theme in THEMES.values():
        for name, line in zip(
            ("ground truth", "panel"),
            lab([theme.ground_truth, theme.panel], deficiency),
            strict=True,
        ):
            for one, color in seen.items():
                assert difference(color, line) > 11, (one, name)


def test_the_palette_of_unnamed_classes_has_the_same_colours():
    assert sorted(PALETTE) == sorted(COLORS.values())
