"""The synthetic world opened by the devkit."""

import pytest
from nuscenes import NuScenes

from bev.lab.synthetic import VERSION


@pytest.fixture(scope="session")
def devkit(synthetic_world) -> NuScenes:
    return NuScenes(VERSION, str(synthetic_world), verbose=False)
