"""A validation that fails ends no training and loses no results; it can be repeated."""

import csv
import json
from dataclasses import replace
from unittest.mock import Mock, patch

import pytest
from lightning import Trainer

from bev.data.dataset import KeyFrames
from bev.errors import DataError, NoGroundTruthError, TrainingError
from bev.evaluation.evaluation import Evaluation
from bev.evaluation.nuscenes.boxes import OfficialScorer
from bev.models import Detector
from bev.training.checkpoint.loading import read_checkpoint
from bev.training.datamodule import make_loader
from bev.training.metrics import ValidationFrames, ValidationMetrics
from bev.training.module import TrainingModule
from bev.training.record import is_finished
from bev.training.run import train
from bev.visualization.report.run import report_run


@pytest.fixture(scope="module")
def short(quick):
    """Three epochs of one step, each with a validation of one batch."""
    data = replace(quick.data, cameras=("CAM_FRONT",), fraction=0.5, batch_size=4)
    return replace(quick, data=data, train=replace(quick.train, epochs=3, pictures=0))


def run(config, name, resume=None):
    config = replace(config, train=replace(config.train, run_name=name))
    return train(config, resume, finish=[report_run])


def on_call(number, error):
    """Patch of the scorer of boxes: one call fails."""
    calls, plain = [], OfficialScorer.compute

    def compute(self, records, split):
        calls.append(split)
        if len(calls) == number:
            raise error
        return plain(self, records, split)

    return patch.object(OfficialScorer, "compute", compute)


def test_results_survive_a_failing_evaluation(short, capsys):
    """The second validation fails in the network, the last one in the metrics."""
    calls, plain = [], Detector.predict

    def predict(self, batch, *others):
        calls.append(batch)
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        return plain(self, batch, *others)

    folder = short.train.runs / short.name / "failing"
    last = folder / "checkpoints" / "last.ckpt"
    message = f"The evaluation of head model.head failed: no such metric.*--resume {last} evaluates"
    with (
        patch.object(Detector, "predict", predict),
        on_call(2, DataError("no such metric.")),
        pytest.raises(TrainingError, match=message),
    ):
        run(short, "failing")
    out = capsys.readouterr().out
    assert "The evaluation of head model.head failed: RuntimeError: out of memory" in out
    steps = [read_checkpoint(folder / "checkpoints" / name)["global_step"]
             for name in ("best.ckpt", "last.ckpt")]  # fmt: skip
    assert steps == [1, 3]
    assert json.loads((folder / "checkpoints" / "best.json").read_text())["step"] == 1
    history = (folder / "evaluation" / "history.jsonl").read_text().splitlines()
    assert [("NDS" in json.loads(line), json.loads(line)["step"]) for line in history] == [
        (True, 1), (False, 3),
    ]  # fmt: skip
    with (folder / "metrics.csv").open() as file:
        scores = [row["val/NDS"] for row in csv.DictReader(file) if row["val/NDS"]]
    assert len(scores) == 3 and scores[1:] == ["nan", "nan"]
    assert "no such metric" in (folder / "report.html").read_text()
    split = folder / "evaluation" / "synthetic_val"
    assert (split / "results_nusc.json").is_file()
    assert not (split / "metrics_summary.json").exists()  # that of the first validation
    assert not is_finished(folder)

    with patch.object(Detector, "loss", side_effect=AssertionError("trains again")):
        _, result = run(short, "failing", last)
    assert "NDS" in result.scalars() and is_finished(folder)


@pytest.mark.long
def test_the_report_of_several_processes_survives_a_failing_evaluation(short, monkeypatch):
    """The first process writes it before it ends; the others end at once."""
    config = replace(short, train=replace(short.train, epochs=1, validate_every=0))

    def fail(trainer, *_, **__):
        monkeypatch.setattr(Trainer, "world_size", 2)
        raise RuntimeError("connection closed by peer")

    monkeypatch.setattr(Trainer, "validate", fail)
    folder = config.train.runs / config.name / "several"
    with pytest.raises(TrainingError, match=r"connection closed by peer.*--resume .*last\.ckpt"):
        run(config, "several")
    assert "connection closed by peer" in (folder / "report.html").read_text()
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] == 1
    monkeypatch.setattr(Trainer, "is_global_zero", False)
    with pytest.raises(RuntimeError, match="connection closed by peer"):
        run(config, "another")
    assert not (folder.with_name("another") / "report.html").exists()


def test_a_run_without_ground_truth_to_validate_on_is_finished(short, capsys):
    config = replace(short, train=replace(short.train, epochs=1))
    with on_call(1, NoGroundTruthError("nothing is annotated.")):
        folder, result = run(config, "unscored")
    assert result.missing == "nothing is annotated." and "NDS" not in result.scalars()
    assert capsys.readouterr().out.count("nothing is annotated.") == 1
    assert "nothing is annotated." in (folder / "report.html").read_text()
    assert (folder / "checkpoints" / "best.ckpt").is_file() and is_finished(folder)
    assert not (folder / "checkpoints" / "best.json").exists()


def test_an_unreadable_image_ends_the_validation_alone(quick):
    """The error takes the place of the sample, its batch and its prediction."""
    from opened import opened

    source = opened(quick.data)
    frames = source.frames("synthetic_val")
    data = ValidationFrames(frames, quick.data, training=False)
    with patch.object(KeyFrames, "__getitem__", side_effect=OSError("5: Input/output error")):
        failed = data[0]
    assert str(failed).startswith("OSError: 5: Input/output error (")
    loader = make_loader(data)
    assert loader.collate_fn([data[1], failed]) is failed
    assert loader.collate_fn([data[0], data[1]]).tokens == [frames[0].token, frames[1].token]
    module = TrainingModule(quick.model.build(), quick.train, 2)
    assert module.validation_step(failed, 0) is failed
    metrics = ValidationMetrics(quick.train.runs, quick, source)
    metrics.evaluation = Evaluation(quick.model, quick.data)
    metrics.on_validation_batch_end(Mock(spec=Trainer), module, failed, failed, 0)
    assert not metrics.evaluation.going
