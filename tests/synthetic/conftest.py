"""One small world, made once for all tests of this folder."""

import pytest
from nuscenes import NuScenes

from bev.synthetic import VERSION, WorldConfig, make_world

SMALL = WorldConfig(train_scenes=2, val_scenes=1, frames_per_scene=4, seed=5)


@pytest.fixture(scope="session")
def small_config() -> WorldConfig:
    return SMALL


@pytest.fixture(scope="session")
def small_world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world") / "small", SMALL, workers=2, progress=False)


@pytest.fixture(scope="session")
def devkit(small_world) -> NuScenes:
    return NuScenes(VERSION, str(small_world), verbose=False)
