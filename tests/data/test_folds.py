"""Folds partition the scenes; smaller fractions are subsets of larger ones."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opened import opened

from bev.config import Experiment
from bev.data.folds import fold_rows, keep_fraction
from bev.data.nuscenes.index_cache import open_index
from bev.data.nuscenes.splits import split_rows
from bev.data.sampling import SamplingConfig
from bev.data.settings import DataChoice, DataConfig
from bev.errors import ConfigError, DataError
from bev.evaluation.nuscenes.official import evaluate_submission
from bev.evaluation.nuscenes.submission import submission_rows, write_submission
from bev.serialization import from_plain, to_plain

lengths = st.lists(st.integers(1, 9), min_size=2, max_size=30)


def scenes_of(lengths, shuffled=0):
    """The scene of each frame, and the scene names in an arbitrary order."""
    order = np.random.default_rng(shuffled).permutation(len(lengths))
    names = np.array([f"scene-{scene:04d}" for scene in order])
    return np.repeat(np.arange(len(lengths)), np.array(lengths)[order]), names


@given(lengths, st.integers(2, 7))
def test_folds_partition_the_scenes_evenly(lengths, count):
    scene, names = scenes_of(lengths)

    def rows(split):
        return set(fold_rows(scene, names, split, "data").tolist())

    if len(lengths) < count:
        with pytest.raises(DataError, match=f"{len(lengths)} scenes, too few for {count} folds"):
            rows(f"fold0of{count}")
        return
    folds = [rows(f"fold{k}of{count}") for k in range(count)]
    everything = set(range(len(scene)))
    assert sum(map(len, folds)) == len(scene) and set.union(*folds) == everything
    held = [set(scene[list(fold)].tolist()) for fold in folds]
    assert sum(map(len, held)) == len(lengths)  # whole scenes
    for k, fold in enumerate(folds):
        assert rows(f"fold{k}of{count}_train") == everything - fold
    sizes = [len(fold) for fold in folds]
    assert min(sizes) > 0 and max(sizes) - min(sizes) <= max(lengths)


@given(lengths, st.integers(1, 5), st.integers(0, 3))
def test_folds_and_fractions_depend_on_scene_names_not_their_order(lengths, shuffled, seed):
    def fold(scene, names):
        return fold_rows(scene, names, "fold1of2", "data")

    def half(scene, names):
        return keep_fraction(scene, names, 0.5, seed)

    for part in (fold, half):
        found = []
        for order in (0, shuffled):
            scene, names = scenes_of(lengths, order)
            found.append(set(names[scene[part(scene, names)]]))
        assert found[0] == found[1]


@given(lengths, st.floats(0.001, 1), st.floats(0.001, 1), st.integers(0, 9))
def test_fractions_are_nested_and_of_whole_scenes(lengths, small, large, seed):
    scene, names = scenes_of(lengths)
    scene = scene[::-1]
    small, large = sorted((small, large))
    kept = [keep_fraction(scene, names, fraction, seed) for fraction in (small, large)]
    assert set(kept[0]) <= set(kept[1])
    for fraction, part in zip((small, large), kept, strict=True):
        scenes = np.unique(scene[part])
        assert len(scenes) == max(round(fraction * len(lengths)), 1)
        assert np.isin(scene, scenes).sum() == len(part)
        assert (np.diff(part) > 0).all()  # the order stays
    assert len(keep_fraction(scene, names, 1.0, seed)) == len(scene)


def test_a_fold_is_trained_on_validated_and_evaluated(synthetic_world, tmp_path):
    """Training and validation share no scene; the metrics are of the fold's samples alone; nothing
    is written into the data root."""
    before = sorted(synthetic_world.rglob("*"))
    data = DataConfig(root=synthetic_world, version="v1.0-synthetic", fold="1/3")
    train, val = opened(data).training_frames(), opened(data).frames(data.splits[1])
    assert data.splits == ("fold1of3_train", "fold1of3")
    assert (len(train), len(val)) == (8, 4)
    assert not {f.scene for f in train} & {f.scene for f in val}
    assert [f.timestamp for f in val] == sorted(f.timestamp for f in val)
    rows = {f.token: submission_rows(f.token, f.boxes, f.global_from_ego) for f in val}
    path = write_submission(tmp_path / "results.json", rows)
    index = opened(data).index
    by_split = evaluate_submission(path, index, "fold1of3", tmp_path / "split")
    by_token = evaluate_submission(path, index, list(rows), tmp_path / "tokens")
    assert by_split == by_token and by_split.mean_ap > 0.3
    assert sorted(synthetic_world.rglob("*")) == before


def test_a_custom_split_with_the_name_of_a_fold_is_refused(synthetic_world, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(synthetic_world / "v1.0-synthetic", root / "v1.0-synthetic")
    path = root / "v1.0-synthetic" / "splits.json"
    path.write_text(json.dumps({"fold0of2": []}))
    with pytest.raises(DataError, match="fold0of2.*rename it"):
        split_rows(open_index(root, "v1.0-synthetic"), "fold0of2")


@pytest.mark.parametrize("fold", ["5/5", "0/1", "a/5", "1", "0/5/2", "-1/5", "fold0of5"])
def test_an_invalid_fold_is_named(fold):
    with pytest.raises(ConfigError, match=r"give k/K with 0 <= k < K"):
        DataConfig(fold=fold)


def test_contradictory_settings_are_named():
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
