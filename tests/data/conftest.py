"""A data root to write in, with an index that no other test shares."""

import shutil
from pathlib import Path

import pytest

from bev.data.nuscenes import index_cache
from bev.lab.benchmark.synthetic_tables import write_tables


@pytest.fixture(scope="session")
def synthetic_tables(tmp_path_factory) -> Path:
    return write_tables(tmp_path_factory.mktemp("made") / "root", scenes=3, frames=4, boxes=6)


@pytest.fixture()
def root(synthetic_tables, tmp_path) -> Path:
    """A data root of the test's own, that may be written."""
    return shutil.copytree(synthetic_tables, tmp_path / "root")


@pytest.fixture()
def user_cache(tmp_path, monkeypatch) -> Path:
    """The usual places, with a user's cache folder of the test's own."""
    monkeypatch.delenv("BEV_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bev" / "index"


@pytest.fixture()
def builds(monkeypatch) -> list[Path]:
    """The folders that are filled from here on."""
    filled, run = [], index_cache._run
    monkeypatch.setattr(index_cache, "_run", lambda *job: (filled.append(job[1]), run(*job)))
    return filled
