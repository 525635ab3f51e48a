"""Shrunken models as files."""

import pytest
from exported import exported


@pytest.fixture(scope="session")
def single(synthetic_world, tmp_path_factory):
    """Weights of a single-frame model."""
    return exported("lss_synthetic", synthetic_world, tmp_path_factory.mktemp("single"))


@pytest.fixture(scope="session")
def temporal(synthetic_world, tmp_path_factory):
    """Weights of a model of two frames, one second apart."""
    return exported("bevdet4d_synthetic", synthetic_world, tmp_path_factory.mktemp("temporal"))
