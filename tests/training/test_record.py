"""A run folder's records: whole or not there, so that neither lies about the run."""

import json
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
import torch
from lightning import LightningModule, Trainer

from bev.training.checkpoint.saving import BestCheckpoint
from bev.training.record import RunRecord, is_finished

RECORD = RunRecord(8, 1.5, 1000, 10**9, 2**30, "cpu", 1)


@pytest.fixture
def full_disk(monkeypatch):
    """Every text is written by half, and then the writer ends."""

    def half(path, text):
        path.write_bytes(text[: len(text) // 2].encode())
        raise OSError(28, "No space left on device")

    def fill() -> None:
        monkeypatch.setattr(Path, "write_text", half)

    return fill


def test_a_run_whose_record_is_half_written_is_not_finished(tmp_path, full_disk):
    assert not is_finished(tmp_path)
    RECORD.write(tmp_path)
    assert is_finished(tmp_path) and RunRecord.read(tmp_path) == RECORD
    (tmp_path / "run.json").unlink()
    full_disk()
    with pytest.raises(OSError, match="No space"):
        RECORD.write(tmp_path)
    assert not is_finished(tmp_path)


def test_the_best_score_is_that_before_where_its_record_is_half_written(tmp_path, full_disk):
    def trainer(score: float) -> Trainer:
        found = create_autospec(Trainer, callback_metrics={"val/NDS": torch.tensor(score)})
        found.strategy.broadcast = bool
        found.state = SimpleNamespace(fn="validate")
        found.current_epoch, found.global_step = 1, 4
        return found

    best = BestCheckpoint(tmp_path, "NDS")
    best.on_validation_end(trainer(0.25), LightningModule())
    full_disk()
    with pytest.raises(OSError, match="No space"):
        best.on_validation_end(trainer(0.5), LightningModule())
    assert json.loads((tmp_path / "best.json").read_text())["NDS"] == 0.25
