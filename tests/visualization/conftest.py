"""Real key frames for the tests of this folder; skipped without NUSCENES_ROOT."""

import pytest
from hypothesis import settings

from bev.data.nuscenes import open_nuscenes, read_frames

# The first call of torch takes longer than hypothesis allows a case.
settings.register_profile("bev", deadline=None, max_examples=60)
settings.load_profile("bev")


@pytest.fixture(scope="session")
def mini(nuscenes_root):
    """The three real key frames with images."""
    return open_nuscenes(nuscenes_root, "v1.0-mini")


@pytest.fixture(scope="session")
def real_frames(mini):
    """One of scene-0061 with lidar, then two of scene-0103 without lidar files."""
    return read_frames(mini, "mini_train") + read_frames(mini, "mini_val")
