"""``bevlab evaluate CHECKPOINT``: what is refused, and the evaluation of a part of a split."""

import json
from dataclasses import replace

import pytest
from commands import ROOT
from opened import index_in_memory
from shrunken import shrunken

from bev.cli.evaluate.run import Command, evaluate
from bev.config import load_file
from bev.data.nuscenes.frames import read_frames
from bev.data.settings import DataChoice
from bev.errors import TrainingError
from bev.evaluation.nuscenes.official import evaluate_submission
from bev.models.weights import write_weights
from bev.serialization import to_plain


def test_flip_tta_by_the_flag_alone_is_refused_in_the_lidar_frame(tmp_path):
    config = shrunken(load_file(ROOT / "configs" / "lss_synthetic.py"))
    config = replace(
        config,
        model=replace(config.model, flip_tta=False),
        data=replace(config.data, reference="lidar"),
    )
    path = tmp_path / "model.safetensors"
    write_weights(path, config.model.build().state_dict(), to_plain(config))
    command = Command(path, flip_tta=True, data=DataChoice(root=tmp_path / "none"))
    with pytest.raises(TrainingError, match=r"lidar frame; leave it out \(--flip-tta\)"):
        evaluate(command)


def test_a_part_of_a_split_is_scored_as_its_samples(single, synthetic_world, tmp_path):
    data = DataChoice(root=synthetic_world)
    found = evaluate(Command(single, out=tmp_path, data=data, every=3, pictures=0)).scalars()
    index = index_in_memory(synthetic_world, "v1.0-synthetic")
    tokens = read_frames(index, "synthetic_val").tokens[::3]
    path = tmp_path / "results_nusc.json"
    assert list(json.loads(path.read_bytes())["results"]) == tokens and len(tokens) == 2
    expected = evaluate_submission(path, index, tokens, tmp_path / "again").scores().figures
    assert {name: found[name] for name in expected} == expected
