"""Config files outside ``configs/``: imports, custom parts and file names."""

import pytest
from commands import attempt, run
from own_runs import CONFIG, checkpoint_of, sentence

OWN_NECK = """
from dataclasses import dataclass, replace

from bev.config import load_file
from bev.models import FpnConfig


@dataclass(frozen=True)
class OwnNeckConfig(FpnConfig):
    pass


base = load_file("{base}")
config = replace(base, model=replace(base.model, neck=OwnNeckConfig(channels=16)))
"""


@pytest.mark.slow
def test_evaluation_needs_the_file_of_a_custom_part(own_root, tmp_path):
    """mmdetection3d#1640, #2183, mmdetection#7796 (module known in training, not in test)."""
    config = tmp_path / "own_neck.py"
    config.write_text(OWN_NECK.format(base=CONFIG))
    best = checkpoint_of(own_root, tmp_path, config=config)
    _, error = run("evaluate.py", best, "--out", tmp_path / "out", code=1)  # another process
    assert "--import FILE" in sentence(error) and "own_neck.py" in error
    flag = ("--import", config)
    status, _, error = attempt("evaluate.py", best, "--out", tmp_path / "out", *flag)
    assert status == 0, error


def test_a_config_outside_the_repository_imports_a_shipped_one(tmp_path):
    """mmdetection's _base_ paths; users keep configs outside the repository."""
    config = tmp_path / "mine.py"
    config.write_text("from lss_r50 import config as base\n\nconfig = base\n")
    status, _, error = attempt("train.py", config, "--help")
    assert status == 0, error


def test_invalid_yaml_is_refused_in_one_sentence(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("model: {neck: [")
    status, _, error = attempt("train.py", config, "--help")
    assert status == 1 and f"{config} cannot be read" in sentence(error)


def test_a_config_named_yml_is_read(tmp_path):
    """The ending .yml is common for YAML files."""
    config = tmp_path / "config.yml"
    config.write_text("{}")
    status, _, error = attempt("train.py", config, "--help")
    assert status == 0, error
