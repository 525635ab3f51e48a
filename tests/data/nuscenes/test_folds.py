"""Folds partition the scenes; smaller fractions lie inside greater ones."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bev.data.nuscenes.folds import fold_scenes, keep_fraction
from hypothesis import given
from hypothesis import strategies as st
from opened import opened

from bev.config import Experiment
from bev.data.nuscenes.index_cache import open_index
from bev.data.nuscenes.splits import split_rows
from bev.data.sampling import SamplingConfig
from bev.data.settings import DataChoice, DataConfig
from bev.errors import ConfigError, DataError
from bev.evaluation.official import evaluate_submission
from bev.evaluation.submission import submission_rows, write_submission
from bev.serialization import from_plain, to_plain

lengths = st.lists(st.integers(1, 9), min_size=2, max_size=30)


def index_of(lengths, shuffled=0):
    """An index of nothing but scenes with so many frames, its tables in some order."""
    order = np.random.default_rng(shuffled).permutation(len(lengths))
    names = np.array([f"scene-{scene:04d}".encode() for scene in order])
    scene = np.repeat(np.arange(len(lengths)), np.array(lengths)[order])
    return SimpleNamespace(
        root=Path("root"),
        version="v1.0-made",
        scene=SimpleNamespace(name=names),
        sample=SimpleNamespace(scene=scene),
    )


@pytest.fixture(autouse=True, scope="module")
def any_index():
    """The functions are asked here with stand-ins for an index."""
    import jaxtyping

    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@given(lengths, st.integers(2, 7))
def test_folds_partition_the_scenes_evenly(lengths, count):
    index = index_of(lengths)
    if len(lengths) < count:
        with pytest.raises(DataError, match=f"{len(lengths)} scenes, too few for {count} folds"):
            fold_scenes(index, f"fold0of{count}")
        return
    folds = [set(fold_scenes(index, f"fold{k}of{count}").tolist()) for k in range(count)]
    assert sum(map(len, folds)) == len(lengths)
    assert set.union(*folds) == set(range(len(lengths)))
    for k, fold in enumerate(folds):
        rest = set(fold_scenes(index, f"fold{k}of{count}_train").tolist())
        assert rest == set(range(len(lengths))) - fold
    frames = [np.isin(index.sample.scene, list(fold)).sum() for fold in folds]
    assert min(frames) > 0 and max(frames) - min(frames) <= max(lengths)


@given(lengths, st.integers(1, 5), st.integers(0, 3))
def test_folds_and_fractions_are_of_names_not_of_table_rows(lengths, shuffled, seed):
    def names(shuffled, part):
        index = index_of(lengths, shuffled)
        return set(index.scene.name[part(index)])

    def half(index):
        rows = keep_fraction(index, np.arange(len(index.sample.scene)), 0.5, seed)
        return index.sample.scene[rows]

    for part in (lambda index: fold_scenes(index, "fold1of2"), half):
        assert names(0, part) == names(shuffled, part)


@given(lengths, st.floats(0.001, 1), st.floats(0.001, 1), st.integers(0, 9))
def test_fractions_are_nested_and_of_whole_scenes(lengths, small, great, seed):
    index = index_of(lengths)
    small, great = sorted((small, great))
    rows = np.arange(len(index.sample.scene))[::-1]
    kept = [keep_fraction(index, rows, fraction, seed) for fraction in (small, great)]
    assert set(kept[0]) <= set(kept[1])
    for fraction, part in zip((small, great), kept, strict=True):
        scenes = np.unique(index.sample.scene[part])
        assert len(scenes) == max(round(fraction * len(lengths)), 1)
        assert np.isin(index.sample.scene, scenes).sum() == len(part)
        assert (np.diff(part) < 0).all()  # the order stays
    assert len(keep_fraction(index, rows, 1.0, seed)) == len(rows)


def test_a_fold_is_trained_on_validated_and_evaluated(made_world, tmp_path):
    """Training and validation share no scene; the metrics are of the fold's samples alone; nothing
    is written into the data root."""
    before = sorted(made_world.rglob("*"))
    data = DataConfig(root=made_world, version="v1.0-synthetic", fold="1/3")
    train, val = opened(data).training_frames(), opened(data).frames(data.splits[1])
    assert data.splits == ("fold1of3_train", "fold1of3")
    assert (len(train), len(val)) == (8, 4)
    assert not {f.scene for f in train} & {f.scene for f in val}
    assert [f.timestamp for f in val] == sorted(f.timestamp for f in val)
    rows = {f.token: submission_rows(f.token, f.boxes, f.global_from_ego) for f in val}
    path = write_submission(tmp_path / "results.json", rows)
    index = data.open()
    by_split = evaluate_submission(path, index, "fold1of3", tmp_path / "split")
    by_token = evaluate_submission(path, index, list(rows), tmp_path / "tokens")
    assert by_split == by_token and by_split.mean_ap > 0.3
    assert sorted(made_world.rglob("*")) == before


def test_a_split_of_ones_own_with_a_folds_name_is_refused(made_world, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(made_world / "v1.0-synthetic", root / "v1.0-synthetic")
    path = root / "v1.0-synthetic" / "splits.json"
    path.write_text(json.dumps({"fold0of2": []}))
    with pytest.raises(DataError, match="fold0of2.*rename it"):
        split_rows(open_index(root, "v1.0-synthetic"), "fold0of2")


@pytest.mark.parametrize("fold", ["5/5", "0/1", "a/5", "1", "0/5/2", "-1/5", "fold0of5"])
def test_a_fold_that_is_none_is_named(fold):
    with pytest.raises(ConfigError, match=r"give k/K with 0 <= k < K"):
        DataConfig(fold=fold)


def test_settings_that_contradict_are_named():
    with pytest.raises(ConfigError, match="leave data.train_split"):
        DataConfig(fold="0/5", val_split="val")
    for fraction in (0.0, 1.5, -0.1):
        with pytest.raises(ConfigError, match="data.fraction"):
            DataConfig(fraction=fraction)


def test_folds_and_sampling_survive_saving_and_another_version_drops_the_fold():
    data = DataConfig(
        fold="0/5",
        fraction=0.1,
        fraction_seed=3,
        sampling=SamplingConfig("weight", (("bus", 2.0), ("bicycle", 1.0))),
    )
    config = Experiment(data=data)
    assert from_plain(Experiment, to_plain(config)) == config
    assert DataChoice(version="v1.0-mini").apply(data) == replace(
        data, version="v1.0-mini", fold=""
    )
