"""Data in nuScenes' format without annotations need no tables of them."""

import json
import shutil
from pathlib import Path

import pytest
from commands import SMALL, call
from opened import opened
from own_data import CAMERAS, VERSION, write_own_data

from bev.data.nuscenes.index_cache import open_index
from bev.data.nuscenes.tables import OF_ANNOTATIONS
from bev.data.settings import DataConfig
from bev.errors import DataError


@pytest.fixture
def unlabelled(tmp_path) -> Path:
    root = write_own_data(tmp_path / "root")
    for table in OF_ANNOTATIONS:
        (root / VERSION / f"{table}.json").rename(tmp_path / f"{table}.json")
    return root


def settings(root: Path) -> DataConfig:
    return DataConfig(root=root, version=VERSION, cameras=tuple(CAMERAS))


def test_missing_tables_are_those_without_rows(unlabelled, tmp_path):
    frames = opened(settings(unlabelled)).frames("mine_val")
    assert len(frames) == 2 and not frames.annotated and len(frames[0].boxes) == 0
    empty = shutil.copytree(unlabelled, tmp_path / "empty")
    for table in OF_ANNOTATIONS:
        (empty / VERSION / f"{table}.json").write_text("[]")
    for ours, theirs in zip(frames, opened(settings(empty)).frames("mine_val"), strict=True):
        assert ours.token == theirs.token
        assert [one.name for one in ours.cameras] == [one.name for one in theirs.cameras]


def test_annotations_that_come_later_are_read(unlabelled, tmp_path):
    assert not opened(settings(unlabelled)).frames("mine_val").annotated
    for table in OF_ANNOTATIONS:
        (tmp_path / f"{table}.json").rename(unlabelled / VERSION / f"{table}.json")
    assert opened(settings(unlabelled)).frames("mine_val").annotated


def test_annotations_need_all_of_their_tables(unlabelled, tmp_path):
    (unlabelled / VERSION / "sample_annotation.json").write_text(
        (tmp_path / "sample_annotation.json").read_text()
    )
    with pytest.raises(DataError, match=r"category\.json, attribute\.json, instance\.json missing"):
        open_index(unlabelled, VERSION)


@pytest.mark.slow
def test_pictures_are_drawn_and_training_and_scoring_are_refused(unlabelled, tmp_path):
    data = ("--data.root", unlabelled, "--data.version", VERSION)
    cameras = ("--data.cameras", *CAMERAS)
    call(
        "visualize.py", "lss_r50_mini", *data, *cameras, "--split", "mine_val", "--samples", "1",
        "--out", tmp_path / "pictures",
    )  # fmt: skip
    assert len(list((tmp_path / "pictures").iterdir())) == 1
    splits = ("--data.train-split", "mine_train", "--data.val-split", "mine_val")
    _, error = call(
        "train.py", "lss_r50", *data, *cameras, *splits, "--train.runs", tmp_path, *SMALL, code=1
    )
    assert "has no box to train on: it has no ground-truth boxes at all" in error
    results = tmp_path / "results.json"
    tokens = opened(settings(unlabelled)).frames("mine_val").tokens
    results.write_text(json.dumps({"meta": {}, "results": {token: [] for token in tokens}}))
    out, _ = call("evaluate.py", results, *data, "--split", "mine_val")
    assert out.count("\n") == 1 and "no annotations" in out
    out, _ = call("check_data.py", unlabelled, "--version", VERSION)
    assert "table missing" not in out
