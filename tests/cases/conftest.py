"""The least data set, anew for each test, and a training that ends where it would begin."""

from pathlib import Path

import pytest
from own_data import write_own_data


@pytest.fixture
def own(tmp_path) -> Path:
    """Root of the least data set, to spoil."""
    return write_own_data(tmp_path / "root")


@pytest.fixture
def begun(monkeypatch) -> list:
    """Training ends before its first step, with exit status 0; the trainers that got so far."""
    from lightning import Trainer

    trainers = []

    def fit(trainer: Trainer, *_, **__) -> None:
        trainers.append(trainer)
        raise SystemExit

    monkeypatch.setattr(Trainer, "fit", fit)
    return trainers
