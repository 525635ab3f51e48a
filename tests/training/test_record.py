"""Records of a run folder are complete or absent."""

import json
import math
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
    """Function that simulates a full disk: writing a text fails after its first half."""

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


def validated(score: float, function: str = "validate") -> Trainer:
    """A trainer whose validation has just ended."""
    found = create_autospec(Trainer, callback_metrics={"val/NDS": torch.tensor(score)})
    found.strategy = SimpleNamespace(broadcast=lambda own: own, checkpoint_io=None)
    found.state = SimpleNamespace(fn=function)
    found.current_epoch, found.global_step = 1, 4
    found.fast_dev_run, found.sanity_checking, found.loggers = False, False, []
    return found


@pytest.mark.parametrize("function", ["fit", "validate"])
def test_the_best_score_is_kept_across_runs(tmp_path, function):
    """In training and in later validation; equal scores and NaN do not replace the best score."""
    for score, saved in ((0.25, True), (0.2, False), (0.25, False), (math.nan, False), (0.5, True)):
        trainer = validated(score, function)
        BestCheckpoint(tmp_path, "NDS").on_validation_end(trainer, LightningModule())
        written = [Path(call.args[0]) for call in trainer.save_checkpoint.call_args_list]
        assert written == [tmp_path / "best.ckpt"] * saved

    assert json.loads((tmp_path / "best.json").read_text()) == {"NDS": 0.5, "epoch": 1, "step": 4}


def test_a_half_written_best_score_keeps_the_earlier_one(tmp_path, full_disk):
    best = BestCheckpoint(tmp_path, "NDS")
    best.on_validation_end(validated(0.25), LightningModule())
    full_disk()
    with pytest.raises(OSError, match="No space"):
        best.on_validation_end(validated(0.5), LightningModule())
    assert json.loads((tmp_path / "best.json").read_text())["NDS"] == 0.25


def test_without_a_score_the_latest_checkpoint_is_the_best(tmp_path):
    """A validation that failed has no score; the first score replaces it, even a negative one."""
    for score in (math.nan, math.nan, -5.0):
        trainer = validated(score)
        BestCheckpoint(tmp_path, "NDS").on_validation_end(trainer, LightningModule())
        assert trainer.save_checkpoint.call_count == 1
        assert (tmp_path / "best.json").exists() == (score == -5.0)
