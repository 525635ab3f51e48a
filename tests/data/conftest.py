"""Fixtures of data: a data root of its own with an index, and tests without type checks."""

import shutil
from pathlib import Path

import jaxtyping
import pytest

from bev.data.nuscenes import index_cache
from bev.lab.benchmark.synthetic_tables import write_tables


@pytest.fixture(scope="session")
def synthetic_tables(tmp_path_factory) -> Path:
    return write_tables(tmp_path_factory.mktemp("made") / "root", scenes=3, frames=4, boxes=6)


@pytest.fixture()
def root(synthetic_tables, tmp_path) -> Path:
    """A writable data root that no other test uses."""
    return shutil.copytree(synthetic_tables, tmp_path / "root")


@pytest.fixture()
def user_cache(tmp_path, monkeypatch) -> Path:
    """The default cache locations, with a user cache folder that no other test uses."""
    monkeypatch.delenv("BEV_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bev" / "index"


@pytest.fixture()
def builds(monkeypatch) -> list[Path]:
    """The folders of the indexes that the test builds."""
    filled, run = [], index_cache._run
    monkeypatch.setattr(index_cache, "_run", lambda *job: (filled.append(job[1]), run(*job)))
    return filled


@pytest.fixture()
def no_type_checks():
    """Disable the type checks of the tests, so that the source's own checks run.

    They also read elements of sequences, at random.
    """
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
