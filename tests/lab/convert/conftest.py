"""The configs of the published families."""

import pytest
from small_inputs import CONFIGS

from bev.config import Experiment, load_file
from bev.lab.convert.published import FAMILIES


@pytest.fixture(scope="session")
def configs() -> dict[str, Experiment]:
    """Config of each family, loaded as in the tool."""
    return {name: load_file(CONFIGS / f"{family.config}.py") for name, family in FAMILIES.items()}
