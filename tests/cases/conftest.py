"""A fresh minimal data set for each test, and a training that stops before its first step."""

from pathlib import Path

import pytest
from own_data import write_own_data


@pytest.fixture
def own_root(tmp_path) -> Path:
    """Root of a minimal data set, which the test may modify."""
    return write_own_data(tmp_path / "root")


@pytest.fixture
def started_trainers(monkeypatch) -> list:
    """Trainers that reached ``fit``; training exits there, before its first step, with status 0."""
    from lightning import Trainer

    trainers = []

    def fit(trainer: Trainer, *_, **__) -> None:
        trainers.append(trainer)
        raise SystemExit

    monkeypatch.setattr(Trainer, "fit", fit)
    return trainers
