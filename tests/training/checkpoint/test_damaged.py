"""Checkpoints of strangers: damaged, or made to do harm, they end in one sentence."""

import io
import json
import zipfile
from dataclasses import replace

import pytest
import torch
from lightning import Trainer
from shrunken import shrunken

from bev.config import Experiment, load_config
from bev.errors import CheckpointError, ConfigError, WeightsError
from bev.models.weights.loading import read_weights
from bev.serialization import to_plain
from bev.training.checkpoint.loading import check_resumable, load_checkpoint
from bev.training.checkpoint.saving import BestCheckpoint
from bev.training.record import RunRecord, asks_for_more


@pytest.fixture(scope="module")
def config() -> Experiment:
    return shrunken(load_config("lss_r50"))


@pytest.fixture(scope="module")
def content(config) -> dict:
    state = config.model.build().state_dict()
    return {"config": to_plain(config), "state_dict": {f"model.{k}": v for k, v in state.items()}}


@pytest.fixture
def save(tmp_path, content):
    """Saves the content with some entries replaced; returns the path."""

    def save(**entries: object):
        torch.save({**content, **entries}, tmp_path / "a.ckpt")
        return tmp_path / "a.ckpt"

    return save


def test_a_whole_checkpoint_is_loaded(save, config):
    assert load_checkpoint(save())[0] == config


def test_a_changed_bit_of_a_weight_is_noticed(save):
    """torch compares no checksums: the weight would be another number."""
    path = save()
    with zipfile.ZipFile(path) as parts:
        largest = max(parts.infolist(), key=lambda part: part.file_size)
    data = bytearray(path.read_bytes())
    data[largest.header_offset + 200] ^= 64
    path.write_bytes(data)
    for read in (load_checkpoint, read_weights):
        with pytest.raises((CheckpointError, WeightsError), match=r"its part .* is damaged"):
            read(path)


def test_a_compressed_part_is_not_unpacked(save):
    """A few kilobytes of zeros may stand for gigabytes."""
    path, out = save(), io.BytesIO()
    with zipfile.ZipFile(path) as parts, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in parts.namelist():
            new.writestr(name, parts.read(name))
    path.write_bytes(out.getvalue())
    with pytest.raises(CheckpointError, match=r"its part .* is compressed"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, "no config and state_dict"),
        ([torch.zeros(1)], "no config and state_dict"),
        ({}, "tensors are missing"),
        ({"model.a": 3}, "'model.a' in its state_dict, which is no named tensor"),
        ({3: torch.zeros(1)}, "3 in its state_dict, which is no named tensor"),
        ({"a": torch.zeros(1).expand(10**12)}, "'a' in its state_dict, which is no named tensor"),
        ({"a": torch.eye(2).to_sparse()}, "'a' in its state_dict, which is no named tensor"),
        ({"a": torch.tensor([1.0, torch.nan])}, "numbers in a that are not finite"),
    ],
)
def test_a_state_of_another_kind_is_refused(save, state, message):
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(save(state_dict=state))


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [("neck", "channels", 10**6), ("view", "channels", 30_000), ("backbone", "stem", 10**9)],
)
def test_a_model_larger_than_the_weights_is_not_built(save, content, part, name, value):
    plain = json.loads(json.dumps(content["config"]))
    plain["model"][part][name] = value
    with pytest.raises(CheckpointError, match=r"a.ckpt.*(can be built|does not fit|config)"):
        load_checkpoint(save(config=plain))


def test_weights_without_the_optimizer_cannot_be_resumed(save, config):
    with pytest.raises(CheckpointError, match=r"lacks the state of the optimizer"):
        check_resumable(save(), config)


@pytest.mark.parametrize(
    "entries",
    [
        {},  # without the step
        {"global_step": "many"},
        {"global_step": 1, "KeyFrameData": {}},
        {"global_step": 1, "KeyFrameData": [1]},
        {"global_step": 1, "callbacks": []},
        {"global_step": 1, "callbacks": {"TimeLimit": {"time_elapsed": 3}}},
    ],
)
def test_a_checkpoint_without_the_position_of_its_run_is_named(save, config, entries):
    path = save(**entries)
    path.parent.joinpath("checkpoints").mkdir()
    path.rename(path.parent / "checkpoints" / "last.ckpt")
    more = replace(config.train, epochs=10, max_steps=100)
    with pytest.raises(CheckpointError, match=r"last\.ckpt lacks the position of its run"):
        asks_for_more(path.parent, more)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"NDS": null}', '{"NDS": "x"}', "\xff"])
def test_a_damaged_record_of_the_best_checkpoint_is_named(tmp_path, text):
    path = tmp_path / "best.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(CheckpointError, match=r"best.json cannot be read .*; .* delete it"):
        BestCheckpoint(tmp_path, "NDS").check_monitor_top_k(Trainer(logger=False), torch.ones(()))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"steps": "many"}'])
def test_a_damaged_record_of_a_run_is_named(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ConfigError, match=r"run\.json"):
        RunRecord.read(tmp_path)
