"""The synthetic world is hard enough to be a useful benchmark."""

import pytest

from bev.data.nuscenes.classes import CLASS_RANGE
from bev.lab.synthetic import PRESETS
from bev.lab.synthetic.config import KEY_FRAME_PERIOD
from bev.lab.synthetic.statistics import Statistics, scene_statistics, world_statistics


def assert_hard(stats: Statistics, with_class: float) -> None:
    """Check the least difficulty of a world.

    with_class: least share of scenes in which each class is counted at least once.
    """
    assert stats.boxes_per_frame >= 25, stats.report()
    assert stats.share_beyond_30m >= 0.30, stats.report()
    assert stats.share_hardly_visible >= 0.20, stats.report()
    for label in CLASS_RANGE:
        assert stats.scenes_with_class[label] > with_class * stats.scenes, stats.report()


def test_default_has_at_least_eight_frames_at_2_hz():
    assert PRESETS["default"].frames_per_scene >= 8 and KEY_FRAME_PERIOD == 0.5


@pytest.mark.slow
def test_a_sample_of_default_is_hard():
    config = PRESETS["default"]
    stats = scene_statistics(config, config.scene_keys()[::20], every=5)
    assert_hard(stats, with_class=0.5)


@pytest.mark.slow
def test_all_of_default_is_hard():
    config = PRESETS["default"]
    assert_hard(scene_statistics(config, config.scene_keys()), with_class=0.75)


@pytest.mark.slow
def test_tables_and_ground_truth_give_the_same_figures(synthetic_world, synthetic_config):
    ground_truth = scene_statistics(synthetic_config, synthetic_config.scene_keys())
    assert world_statistics(synthetic_world, synthetic_config) == ground_truth
