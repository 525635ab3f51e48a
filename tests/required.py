"""Parts of a machine that tests may lack, except where ``.ci/run`` has installed them."""

import importlib.util
import os

import pytest

# .ci/run sets this, so that a missing part is a fault there.
REQUIRED = "BEV_REQUIRE_BROWSER"


def lacking(what: str) -> None:
    """Skip the test, or fail it where all parts are required."""
    (pytest.fail if os.environ.get(REQUIRED) else pytest.skip)(f"{what} is not installed")


def need(package: str) -> None:
    """Skip or fail the test if a package is not installed."""
    if importlib.util.find_spec(package) is None:
        lacking(package)
