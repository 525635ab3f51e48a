"""The made world, opened by the devkit."""

import pytest
from nuscenes import NuScenes

from bev.lab.synthetic import VERSION


@pytest.fixture(scope="session")
def devkit(made_world) -> NuScenes:
    return NuScenes(VERSION, str(made_world), verbose=False)
