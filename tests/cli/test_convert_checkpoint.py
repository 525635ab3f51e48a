"""``convert_checkpoint.py``: a published file becomes a checkpoint that ``evaluate.py`` reads."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from commands import ROOT, call, run

from bev.training.checkpoint.loading import load_checkpoint

sys.path.append(str(ROOT / "tests" / "lab" / "convert"))
from published_tables import random_weights  # noqa: E402


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> Path:
    """A converted checkpoint with random weights and the names of BEVDet's dev2.1 code."""
    folder = tmp_path_factory.mktemp("published")
    state = random_weights("bevdet-dev2.1")
    torch.save({"meta": {"epoch": 20}, "state_dict": state}, folder / "r50.pth")
    out, err = run("convert_checkpoint.py", folder / "r50.pth")
    assert "is a bevdet-dev2.1, rebuilt by the config bevdet_r50_dev21" in out
    assert "478 tensors used, converted to 478" in out and "unused" not in out
    assert "error: " not in err and "warning: " not in err
    return folder / "r50.ckpt"


@pytest.mark.slow
def test_the_output_is_a_checkpoint_with_its_config(converted):
    config, model = load_checkpoint(converted)
    assert config.name == "bevdet_r50_dev21"
    theirs = random_weights("bevdet-dev2.1")
    assert torch.equal(model.neck.output.weight, theirs["img_neck.fpn_convs.0.conv.weight"])


def test_an_unknown_checkpoint_is_refused_in_one_sentence(tmp_path):
    torch.save({"state_dict": {"conv.weight": torch.zeros(1)}}, tmp_path / "other.pth")
    _, err = call("convert_checkpoint.py", tmp_path / "other.pth", code=1)
    assert err.startswith("error: The checkpoint matches none of bevdet-first")
    assert err.count("\n") == 1
    _, err = call(
        "convert_checkpoint.py", tmp_path / "other.pth", "--out", tmp_path / "other.pth", code=1
    )
    assert "would overwrite the source" in err
    assert not (tmp_path / "other.ckpt").exists()


@pytest.mark.slow
def test_a_converted_checkpoint_is_evaluated_on_real_frames_without_a_warning(
    converted, nuscenes_root, tmp_path, monkeypatch
):
    monkeypatch.setitem(os.environ, "PYTHONWARNINGS", "default")
    out, err = run(
        "evaluate.py", converted, "--out", tmp_path, "--split", "mini_val",
        "--data.root", nuscenes_root, "--data.version", "v1.0-mini",
    )  # fmt: skip
    assert "NDS" in out
    # Standard error contains only the progress bar.
    assert [line for line in err.splitlines() if "predict:" not in line and line.strip()] == []
    results = json.loads((tmp_path / "results_nusc.json").read_text())["results"]
    assert len(results) == 2 and all(results.values())
