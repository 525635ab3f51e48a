"""Event files of a run, as TensorBoard reads them back; test_training.py reads those of its run."""

import csv
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from commands import SMALL, call
from google.protobuf.json_format import MessageToDict
from report_page import read_page
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.util.tensor_util import make_ndarray

from bev.config import load_file
from bev.data.frame import Frame
from bev.evaluation.scores import read_details
from bev.models import Detector
from bev.training.checkpoint.loading import read_checkpoint
from bev.training.run import train
from bev.training.settings import TensorBoardConfig
from bev.training.tensorboard.callback import SamplePictures
from bev.visualization.prediction import draw_samples
from bev.visualization.report.run import report_run

pytestmark = pytest.mark.slow
EVERYTHING = TensorBoardConfig(pictures=1, histograms=3)


def drawn_weights(model: Detector, frames: Sequence[Frame]) -> dict[str, np.ndarray]:
    """A grey picture whose brightness is that of a weight of the model."""
    value = model.head.shared[0].weight.double().sum().item()
    return {frames[0].token: np.full((24, 32, 3), np.clip(128 + 16 * value, 0, 255), np.uint8)}


@pytest.fixture(scope="module")
def finished(quick) -> Path:
    """Folder of a run of two epochs, of four steps each, with everything."""
    config = replace(quick.train, run_name="events", tensorboard=EVERYTHING)
    whole = replace(quick, train=config)
    draw = partial(draw_samples, config=whole, count=1, camera_width=160)
    folder, _ = train(whole, callbacks=[SamplePictures(draw)], finish=[report_run])
    return folder


@pytest.fixture(scope="module")
def events(finished) -> EventAccumulator:
    return read(finished)


def read(folder: Path) -> EventAccumulator:
    """Everything in the event files of a run."""
    found = EventAccumulator(str(folder), {"tensors": 0})
    return found.Reload()


def steps(events: EventAccumulator, tag: str) -> list[int]:
    return [one.step for one in events.Tensors(tag)]


def values(events: EventAccumulator, tag: str) -> list[np.ndarray]:
    return [make_ndarray(one.tensor_proto) for one in events.Tensors(tag)]


def tags(events: EventAccumulator) -> list[str]:
    return events.Tags()["tensors"]


def test_scalars_are_those_of_the_table_at_the_number_of_complete_steps(events, finished):
    """The table counts steps from 0; the event files give how many are complete."""
    with (finished / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in ("epoch", "step")]
    assert {"train/loss", "lr-AdamW", "val/NDS", "gradient_norm/total"} < {*names}
    for name in names:
        table = [(int(row["step"]) + 1, float(row[name])) for row in rows if row[name]]
        found = zip(steps(events, name), map(float, values(events, name)), strict=True)
        assert [*found] == [(step, pytest.approx(value, rel=1e-6)) for step, value in table], name
    assert steps(events, "train/loss") == [1, 2, 3, 4, 5, 6, 7, 8]
    assert steps(events, "val/NDS") == [4, 8]


def test_gradient_norms_of_the_parts_add_up(events):
    parts = [t for t in tags(events) if t.startswith("gradient_norm/") and "total" not in t]
    assert {"gradient_norm/backbone", "gradient_norm/head", "gradient_norm/encoder"} < {*parts}
    squares = sum(np.square(values(events, tag)) for tag in parts)
    assert np.allclose(np.sqrt(squares), values(events, "gradient_norm/total"), rtol=1e-5)


def test_gradient_norms_are_in_the_report(finished):
    charts = {chart["name"] for chart in read_page(finished / "report.html").summary["training"]}
    assert "training-gradients" in charts


def test_precision_recall_curves_agree_with_the_evaluation(events, finished):
    """At each threshold, the point with the highest recall whose score reaches the threshold."""
    details = read_details(finished / "evaluation" / "synthetic_val")
    curves = [tag for tag in tags(events) if "/within " in tag]
    assert "car/within 2.0 m" in curves and len(curves) % 4 == 0
    filled = 0
    for tag in curves:
        assert events.SummaryMetadata(tag).plugin_data.plugin_name == "pr_curves"
        assert steps(events, tag) == [4, 8]
        true, false, _, missed, precision, recall = values(events, tag)[-1]
        curve = details[":".join(re.match(r"(.*)/within (.*) m", tag).groups())]
        for number, threshold in enumerate(np.linspace(0, 1, len(true))):
            reached = [
                point
                for point in zip(curve["recall"], curve["precision"], curve["confidence"],
                                 strict=True)
                if point[2] >= threshold and point[2] > 0
            ]  # fmt: skip
            last = max(reached, default=(0, 0, 0))
            assert (recall[number], precision[number]) == pytest.approx(last[:2])
        assert len({*(true + missed)[true + false > 0]}) <= 1  # the ground truth
        filled += bool(true.any())
    assert filled > 0


def test_pictures_of_the_same_samples_are_there_at_each_validation(events, finished):
    (tag,) = [tag for tag in tags(events) if tag.startswith("samples/")]
    results = json.loads((finished / "evaluation/synthetic_val/results_nusc.json").read_text())
    assert tag.removeprefix("samples/") in results["results"]
    assert steps(events, tag) == [4, 8]
    for width, height, content in values(events, tag):
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape[:2] == (int(height), int(width)) and picture.std() > 10


def test_the_graph_leads_from_the_images_to_the_heads(events, quick):
    graph = events.Graph()
    inputs = {node.name: list(node.input) for node in graph.node}
    assert inputs["inputs/images"] == []
    assert {name for sources in inputs.values() for name in sources} <= {*inputs}
    # The view transform joins what the depth net and the neck compute, by operators of its own.
    (joined,) = [name for name in inputs if name.startswith("view/Lift")]
    assert len(inputs[joined]) > 1

    def before(name: str) -> set[str]:
        found, waiting = set(), [name]
        while waiting:
            new = {*inputs[waiting.pop()]} - found
            found |= new
            waiting += new
        return found

    assert {"inputs/images", joined} < before("head/CenterHead")
    model = quick.model.build()
    for part in ("backbone", "neck", "view", "encoder", "head"):
        nodes = [node for node in graph.node if node.name.startswith(f"{part}/")]
        total = sum(node.attr["parameters"].i for node in nodes)
        assert total == sum(p.numel() for p in getattr(model, part).parameters()), part
    convolutions = [node for node in graph.node if node.op == "Conv2d"]
    sizes = [node.attr["_output_shapes"].list.shape[0].dim[1].size for node in convolutions]
    assert all(node.attr["parameters"].i > 0 for node in convolutions) and 8 in sizes


def test_histograms_are_those_of_all_weights_and_gradients(events, finished):
    content = read_checkpoint(finished / "checkpoints" / "last.ckpt")["current_model_state"]
    model = load_file(finished / "config.yaml").model.build()
    names = {name for name, _ in model.named_parameters()}
    for kind in ("weights", "gradients"):
        found = [tag for tag in tags(events) if tag.startswith(f"{kind}/")]
        assert {tag.removeprefix(f"{kind}/") for tag in found} == names
        assert all(steps(events, tag) == [3, 6] for tag in found)
    for name in names:
        low, high, count = values(events, f"weights/{name}")[-1].T
        assert count.sum() == content[f"model.{name}"].numel()
        assert (low <= high).all() and (np.diff(low) >= 0).all() and (count >= 0).all()


def test_settings_and_final_figures_are_a_session(events, finished):
    def content(tag: str) -> dict:
        about = events.SummaryMetadata(tag).plugin_data.content
        parse = {
            hparams.SESSION_START_INFO_TAG: hparams.parse_session_start_info_plugin_data,
            hparams.SESSION_END_INFO_TAG: hparams.parse_session_end_info_plugin_data,
        }[tag]
        return MessageToDict(parse(about))

    settings = content(hparams.SESSION_START_INFO_TAG)["hparams"]
    assert settings["train.lr"] == 3e-3 and settings["data.batch_size"] == 2
    assert settings["train.deterministic"] is True and settings["train.init.weights"] == "none"
    assert settings["data.cameras"] == "['CAM_FRONT', 'CAM_BACK']"
    assert not [n for n in settings if n.startswith(("train.tensorboard", "model.labels"))]
    assert not {"data.root", "train.runs", "train.run_name"} & {*settings}
    assert content(hparams.SESSION_END_INFO_TAG)["status"] == "STATUS_SUCCESS"
    history = (finished / "evaluation" / "history.jsonl").read_text().splitlines()
    assert values(events, "val/NDS")[-1] == pytest.approx(json.loads(history[-1])["NDS"])


def test_a_resumed_run_has_each_step_once(quick, finished, tmp_path):
    """What a killed part wrote after its last checkpoint is dropped for what the next one writes.

    The checkpoint is that of step 8; a file of a killed part holds steps 9 and 10.
    """
    from bev.training.tensorboard.logger import EventLogger

    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    lost = EventLogger(folder)
    for step in (8, 9):
        lost.log_metrics({"train/loss": -1.0}, step)
    lost.close()
    longer = replace(quick.train, epochs=3, tensorboard=TensorBoardConfig(graph=False))
    train(replace(quick, train=longer), resume=folder / "checkpoints" / "last.ckpt")
    again = read(folder)
    assert steps(again, "train/loss") == [*range(1, 13)]
    assert min(values(again, "train/loss")) > 0
    assert steps(again, "val/NDS") == [4, 8, 12]
    assert steps(again, "car/within 2.0 m") == [4, 8, 12]


def test_pictures_are_drawn_with_the_validated_weights_and_change_no_result(quick):
    """A run with pictures equals one without, bit for bit, and draws the averaged weights."""
    seen = []

    def draw(model: Detector, frames: Sequence[Frame]) -> dict[str, np.ndarray]:
        seen.append(model.head.shared[0].weight.clone())
        return drawn_weights(model, frames)

    settings = replace(quick.train, epochs=1, max_steps=2, tensorboard=TensorBoardConfig())
    on = replace(settings, run_name="with_pictures")
    off = replace(settings, run_name="off", tensorboard=TensorBoardConfig(events=False))
    with_pictures, _ = train(replace(quick, train=on), callbacks=[SamplePictures(draw)])
    without, _ = train(replace(quick, train=off), callbacks=[SamplePictures(draw)])
    assert len(seen) == 1 and not list(without.glob("events*"))
    states = [
        read_checkpoint(run / "checkpoints" / "last.ckpt") for run in (with_pictures, without)
    ]
    for kind in ("state_dict", "current_model_state"):
        for name, value in states[0][kind].items():
            assert torch.equal(value, states[1][kind][name]), name
    assert torch.equal(seen[0], states[0]["state_dict"]["model.head.shared.0.weight"])


def test_a_picture_that_fails_is_one_warning(quick, capsys):
    def draw(model: Detector, frames: Sequence[Frame]) -> dict[str, np.ndarray]:
        raise ZeroDivisionError("no such colour")

    config = replace(quick.train, run_name="no_pictures", max_steps=1)
    folder, result = train(replace(quick, train=config), callbacks=[SamplePictures(draw)])
    assert result is not None and result.scalars()
    warnings = [line for line in capsys.readouterr().err.splitlines() if "TensorBoard" in line]
    assert len(warnings) == 1
    assert "lacks pictures of samples" in warnings[0] and "no such colour" in warnings[0]
    assert steps(read(folder), "val/NDS") == [1]


def test_a_full_disk_ends_the_event_files_and_not_the_training(quick, capsys, monkeypatch):
    from bev.training.tensorboard.event_file import EventFile

    flushed = []

    def full(self):
        flushed.append(self)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(EventFile, "flush", full)
    monkeypatch.setattr("bev.training.tensorboard.event_file._FLUSH_SECONDS", -1.0)
    config = replace(quick.train, run_name="full_disk", max_steps=1)
    _, result = train(replace(quick, train=config), callbacks=[SamplePictures(drawn_weights)])
    assert result is not None and result.scalars()
    warnings = [line for line in capsys.readouterr().err.splitlines() if "TensorBoard" in line]
    assert len(warnings) == 1 and len(flushed) == 1
    assert "all events" in warnings[0] and "free space on that disk" in warnings[0]


def test_the_command_draws_samples(synthetic_world, tmp_path):
    call(
        "train.py", "lss_synthetic", *SMALL, "--data.root", synthetic_world, "--train.max-steps", 1,
        "--train.runs", tmp_path, "--train.run-name", "drawn", "--train.pictures", 0,
        "--train.tensorboard.pictures", 2, "--data.workers", 0,
    )  # fmt: skip
    drawn = [tag for tag in tags(read(tmp_path / "lss_synthetic" / "drawn")) if "samples/" in tag]
    assert len(drawn) == 2
