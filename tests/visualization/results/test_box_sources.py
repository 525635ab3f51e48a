"""Predictions of results files and detectors, by sample, and the pictures of several of them."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import call
from opened import opened
from shrunken import shrunken

from bev.cli.visualize.command import Command
from bev.cli.visualize.several import SeveralPictures
from bev.config import load_file
from bev.data.adjacent import ALONE
from bev.data.dataset import KeyFrames
from bev.data.settings import DataChoice
from bev.errors import ConfigError, SubmissionError
from bev.evaluation.nuscenes.submission import submission_rows, write_submission
from bev.geometry import Boxes3D
from bev.visualization.bev_view import BevView, draw_bev
from bev.visualization.results.sources import DetectorBoxes, ResultsFile, shared_samples
from bev.visualization.results.styles import LINE_STYLES, short_name

SPLIT = "synthetic_val"


@pytest.fixture(scope="module")
def data(synthetic_world):
    config = shrunken(load_file("lss_synthetic"))
    return replace(config.data, root=synthetic_world, adjacent=ALONE)


@pytest.fixture(scope="module")
def frames(data):
    return opened(data).frames(SPLIT)


@pytest.fixture(scope="module")
def results(frames, tmp_path_factory) -> Path:
    """Ground truth as predictions, whose scores fall from 1 in the order of the boxes."""
    rows = {}
    for frame in frames:
        score = torch.linspace(1.0, 0.0, len(frame.boxes))
        boxes = replace(frame.boxes, score=score)
        rows[frame.token] = submission_rows(frame.token, boxes, frame.global_from_ego)
    return write_submission(tmp_path_factory.mktemp("results") / "a" / "results_nusc.json", rows)


def differing(path: Path, name: str, change) -> Path:
    """A copy of a results file with other rows."""
    content = json.loads(path.read_text())
    content["results"] = change(content["results"])
    copy = path.parent.parent / name / path.name
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(json.dumps(content))
    return copy


def test_boxes_above_the_score_are_in_the_ego_frame_of_their_sample(results, data, frames):
    found = ResultsFile(results, data, frames.tokens, 0.5)
    assert list(found.tokens) == list(frames.tokens)
    for frame in frames:
        boxes, expected = found.boxes(frame), frame.boxes[: (len(frame.boxes) + 1) // 2]
        assert len(boxes) == len(expected) > 0 and boxes.score.min() >= 0.5
        assert torch.equal(boxes.label, expected.label)
        for name in ("center", "size", "velocity"):
            known = getattr(expected, name).nan_to_num()  # files have no unknown velocities
            assert torch.allclose(getattr(boxes, name).float(), known, atol=1e-4)
        turn = (boxes.yaw - expected.yaw).double()
        assert torch.allclose(torch.cos(turn), torch.ones_like(turn), atol=1e-8)


def test_a_detector_and_its_results_file_have_the_same_boxes(data, frames, tmp_path):
    torch.manual_seed(0)
    config = replace(shrunken(load_file("lss_synthetic")), data=data)
    model = config.model.build().eval()
    frame, batch = frames[1], KeyFrames(frames, data, training=False)[1]
    every = model.detect(batch)[0]
    score = float(every.score.sort(descending=True).values[20])
    path = tmp_path / "results.json"
    write_submission(
        path, {frame.token: submission_rows(frame.token, every, frame.global_from_ego)}
    )
    file = ResultsFile(path, data, frames.tokens, score).boxes(frame)
    network = DetectorBoxes(model, data, frames, score, "a.ckpt").boxes(frame)
    assert len(file) == len(network) >= 20
    assert torch.allclose(file.center, network.center, atol=1e-4)
    assert torch.equal(file.label, network.label)


def test_a_model_without_boxes_is_named(data, frames):
    config = shrunken(load_file("lss_seg_synthetic"))
    network = config.model.build().eval()
    own = replace(config.data, root=data.root, version=data.version)
    source = DetectorBoxes(network, own, opened(own).frames(SPLIT), 0.3, "maps.ckpt")
    with pytest.raises(ConfigError, match=r"^The model of maps.ckpt has no head that detects"):
        source.boxes(frames[0])


def test_samples_that_a_file_lacks_are_left_out_in_one_sentence(results, data, frames):
    first, *others = frames.tokens
    some = differing(results, "some", lambda rows: {t: rows[t] for t in others})
    sources = [ResultsFile(path, data, frames.tokens, 0.3) for path in (results, some)]
    left, lacks = shared_samples(frames, sources, ["all", "some"], SPLIT)
    assert list(left.tokens) == others
    assert lacks == [
        f"some lacks 1 of the {len(frames)} samples of split {SPLIT!r}, the first is {first}; they"
        " are not drawn."
    ]
    none = ResultsFile(differing(results, "none", lambda rows: {}), data, frames.tokens, 0.3)
    with pytest.raises(SubmissionError, match=r"none lacks 4 of the 4 .*; no sample is left"):
        shared_samples(frames, [sources[0], none], ["all", "none"], SPLIT)


def test_lines_tell_sources_apart():
    """The second source has gaps in its outline, and leaves its inside as it is."""
    view = BevView(pixels=400, reach=50.0)
    box = Boxes3D.make(
        torch.tensor([[20.0, 10.0, 0.5]]), torch.tensor([[12.0, 6.0, 1.5]]), torch.zeros(1)
    )
    none = Boxes3D.empty()
    empty = draw_bev(view).astype(int)
    drawn = [
        np.abs(draw_bev(view, predictions=[none] * place + [box]) - empty).max(axis=-1)
        for place in range(len(LINE_STYLES))
    ]
    filled, dashed, dotted, hollow = drawn
    inside = np.s_[115:126, 157:168]
    assert filled[inside].min() > 20 and not any(one[inside].any() for one in drawn[1:])
    side = np.s_[100:138, 147:150]  # the left side, behind the strong front edge
    inked = [one[side].max(axis=1) > 90 for one in (hollow, dashed, dotted)]
    gaps = [int((np.diff(one.astype(int)) < 0).sum()) for one in inked]
    assert inked[0].all() and gaps[2] > gaps[1] > 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("eval_a", "eval_a"),
        ("a\nb\udcff", "a?b?"),
        ("x" * 40 + "y" * 40, "x" * 17 + "…" + "y" * 18),
    ],
)
def test_names_in_a_legend_are_short_and_printable(text, shown):
    assert short_name(text) == shown and len(shown) <= 36


def test_a_picture_of_two_files(results, tmp_path, synthetic_world):
    moved = differing(results, "b\nc", lambda rows: dict(list(rows.items())[1:]))
    place = ("--data.root", synthetic_world, "--data.version", "v1.0-synthetic", "--split", SPLIT)
    _, error = call(
        "visualize.py", results, moved, *place, "--samples", "1", "--scores", "--out", tmp_path
    )
    assert "lacks 1 of the 4 samples" in error
    assert len(list(tmp_path.glob("*.png"))) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["a.json"], "does not name its data: give --data.root"),
        (["a.json", "lss_synthetic"], "a.json does not exist"),
        (["a.json", "lss_synthetic", "lss_r50"], "2 configs are named; one gives the data"),
        (["lss_synthetic", "lss_r50"], "2 configs are named; one gives the data"),
        (["a.json"] * 5, "5 sources of predictions are named; a picture shows 1 to 4"),
        (["a.json", "--score", "0.1", "0.2"], "--score has 2 values for 1 source of predictions"),
        (["a.json", "--score", "2"], "--score is (2.0,); set it to values"),
        (["a.json", "--show", "depth"], "depth is a picture of one checkpoint"),
        (["a.json", "--check"], "--check is a picture of one checkpoint"),
        (["a.json", "--video", "a.mp4", "--rate", "sweeps"], "set --rate key_frames"),
        (["a.json", "--viewer", "--score", "0.1", "0.2"], "--score has 2 values for 1 source of"),
        (["lss_synthetic", "--video", "a.avi"], "The video 'a.avi' must end in .mp4"),
        (["lss_synthetic", "--video", "a.mp4", "--show"], "one kind of picture, not 0"),
        (["lss_synthetic", "--score", "0.1", "0.2"], "--score has 2 values for one source"),
        ([], "Nothing to draw is named"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(
    options, message, synthetic_world, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for package in ("imageio_ffmpeg", "viser"):  # what is missing is the lesser fault
        monkeypatch.setitem(sys.modules, package, None)
    data = [] if "does not name" in message else ["--data.root", str(synthetic_world)]
    _, error = call("visualize.py", *options, *data, code=1)
    assert message in error and error.count("\n") == 1


def test_a_file_with_the_name_of_a_shipped_model_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("synthetic").write_text("no weights")
    assert "Weights file synthetic cannot be read" in call("visualize.py", "synthetic", code=1)[1]


def test_a_checkpoint_beside_results_is_given_the_chosen_cameras(results, single, synthetic_world):
    choice = DataChoice(root=synthetic_world, cameras=("CAM_FRONT", "CAM_BACK"))
    several = SeveralPictures(Command((single, results), data=choice, split=SPLIT))
    (detector,) = (one for one in several.sources if isinstance(one, DetectorBoxes))
    assert detector._batches[0].views.images.shape[1] == 2
