"""Parsing by the named fields alone equals parsing by all fields, or is left to it."""

import random

import pytest
import tyro
from commands import SMALL

from bev.cli.train import Command
from bev.config import Experiment, load_config, override
from bev.errors import ConfigError
from bev.narrow import parse_named

BASE = load_config("lss_synthetic")
FLAGS = [
    ["--train.lr", "1e-4"], ["--train.lr=2e-4"], ["--train.max_steps", "-1"],
    ["--model.no-flip-tta"], ["--model.flip-tta"], ["--data.lidar"], ["--data.no-lidar"],
    ["--data.cameras", "CAM_FRONT", "CAM_BACK"], ["--data.cameras"],
    ["--model.grid.x", "-40", "40", "0.8"],
    ["--train.optimizer", "SGD(momentum=0.9)"], ["--train.schedule", "ConstantLR(factor=1.0)"],
    ["--data.root", "some where"], ["--train.run-name", "a=b"], ["--name", "other"],
    ["--model.encoder.blocks", "3"], ["--data.adjacent.unit", "seconds"],
    ["--train.init.weights", "None"],
]  # fmt: skip


def test_named_fields_equal_all_fields():
    draw = random.Random(0)
    for chosen in (FLAGS, *(draw.sample(FLAGS, draw.randint(1, 6)) for _ in range(7))):
        arguments = [word for words in chosen for word in words]
        named = parse_named(BASE, arguments)
        assert named is not None
        assert named == tyro.cli(Experiment, default=BASE, args=arguments)
        assert named.model.labels is BASE.model.labels


def test_a_field_without_a_prefix_is_entered():
    whole = tyro.cli(Command, default=Command(BASE), args=[*SMALL, "--resume", "a.ckpt"])
    assert parse_named(Command(BASE), [*SMALL, "--resume", "a.ckpt"]) == whole
    assert whole.experiment.data.image_size == (64, 176)


def test_what_is_unclear_is_left_to_the_parser_of_all_fields():
    for words in (
        "--train.lrr 1", "--train.lr x", "--train.lr", "--train 1", "--train.lr.x 1", "-h",
        "--help", "stray", "--train.lr 1 stray", "--model.view.channels 2.5", "--train.no-lr 1",
        "--resume a", "--train.lr 1 --help",
    ):  # fmt: skip
        assert parse_named(BASE, words.split()) is None, words
    assert parse_named(BASE, []) is None


def test_values_that_the_settings_refuse_are_refused(capsys):
    with pytest.raises(ConfigError, match=r"3\.333 cells"):
        override(BASE, ["--model.grid.x", "0", "10", "3"], "x")
    with pytest.raises(SystemExit):
        override(BASE, ["--train.lrr", "1"], "named")
    assert "--train.lr" in capsys.readouterr().err
