"""Custom configs, parts and optimisers in files outside the repository, used by the commands."""

import json
import shutil
import subprocess
import sys
import zipfile

import isolated
import pytest
from commands import ROOT, call
from own_data import CAMERAS, VERSION, write_own_data
from test_own_data import SMALL

CONFIG = """
from dataclasses import dataclass, replace
from functools import partial

import torch
from lss_r50 import config as base
from neck_of_mine import MyNeckConfig


class MyOptimizer(torch.optim.AdamW):
    pass


config = replace(
    base,
    model=replace(base.model, neck=MyNeckConfig(channels=16)),
    train=replace(base.train, optimizer=partial(MyOptimizer, betas=(0.8, 0.99))),
)
"""
NECK = """
from dataclasses import dataclass
from bev.models import FpnConfig


@dataclass(frozen=True)
class MyNeckConfig(FpnConfig):
    pass
"""


STUDY = """
from dataclasses import dataclass, replace

from bev.lab.ablation import Study, vary
from bev.models import FpnConfig
from mine import config as base


@dataclass(frozen=True)
class WiderNeckConfig(FpnConfig):
    pass


config = replace(base, model=replace(base.model, neck=WiderNeckConfig(channels=24)))
study = Study(config, vary("model.neck.channels", "16", "32"))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder with a run of a config outside the repository, with a custom neck and optimiser."""
    home = tmp_path_factory.mktemp("elsewhere")
    (home / "mine.py").write_text(CONFIG)
    (home / "neck_of_mine.py").write_text(NECK)
    root = write_own_data(home / "root")
    call(
        "train.py", home / "mine.py", "--data.root", root, "--data.version", VERSION,
        "--data.cameras", *CAMERAS, "--data.train-split", "mine_train",
        "--data.val-split", "mine_val", "--model.backbone.no-pretrained",
        "--model.backbone.name", "resnet10t", *SMALL,
        "--train.runs", home / "runs", "--train.run-name", "own",
    )  # fmt: skip
    return home


@pytest.mark.long
def test_a_config_outside_the_repository_builds_on_a_shipped_one(trained):
    text = (trained / "runs" / "mine" / "own" / "config.yaml").read_text()
    assert "type: MyNeckConfig" in text and "optimizer: MyOptimizer(betas=(0.8, 0.99))" in text


@pytest.mark.long
def test_evaluation_asks_for_the_file_of_the_neck_alone(trained):
    """Another process needs no optimiser for evaluation and does not look it up."""
    best = trained / "runs" / "mine" / "own" / "checkpoints" / "best.ckpt"
    command = [ROOT / "tools" / "evaluate.py", best, "--out", trained / "out"]
    done = isolated.run_forked(*command)
    assert done.code == 1 and "Traceback" not in done.error
    last = done.error.splitlines()[-1]  # libraries may warn before
    assert last.startswith("error: ") and "--import FILE" in last
    assert "It was trained with mine.py" in last


@pytest.mark.long
def test_evaluation_works_with_the_file_of_the_neck(trained):
    best = trained / "runs" / "mine" / "own" / "checkpoints" / "best.ckpt"
    command = [ROOT / "tools" / "evaluate.py", best, "--out", trained / "out"]
    done = isolated.run_forked(*command, "--import", trained / "neck_of_mine.py")
    assert done.code == 0, done.error
    assert json.loads((trained / "out" / "metrics_summary.json").read_text())["mean_ap"] >= 0


@pytest.mark.long
def test_a_study_passes_its_file_to_its_runs(trained):
    """The study is in a separate folder, builds on the config above and defines a part."""
    study = trained / "studies" / "study.py"
    study.parent.mkdir()
    study.write_text(STUDY)
    out, _ = call("ablate.py", study, "--print", "--runs", trained / "plans")
    commands = [line.split() for line in out.splitlines() if line.startswith("bevlab train")]
    assert len(commands) == 2
    files = [command[command.index("--import") + 1 :: 2] for command in commands]
    assert files == 2 * [[str(study)]]
    # As in the process of a run: the plan is readable once the file is imported.
    code = (
        "import sys; from pathlib import Path; from bev.config import import_file, load_file\n"
        "import_file(Path(sys.argv[2])); print(type(load_file(sys.argv[1]).model.neck).__name__)"
    )
    reader = trained / "reader.py"
    reader.write_text(code)
    assert isolated.run_forked(reader, commands[0][2], study).out == "WiderNeckConfig\n"


@pytest.mark.long
def test_a_wheel_contains_the_configs_py_typed_and_the_command(tmp_path):
    """The wheel is built from a copy, unpacked elsewhere and run without the repository."""
    pytest.importorskip("setuptools")
    tree = tmp_path / "tree"  # a build leaves files in its source folder
    for name in ("bev", "configs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    build = [
        "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        "--wheel-dir", tmp_path, tree,
    ]  # fmt: skip
    isolated.run(build, PIP_DISABLE_PIP_VERSION_CHECK="1")
    (wheel,) = tmp_path.glob("bevlab-*.whl")
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
        content.extractall(tmp_path / "installed")
    configs = sorted(path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.py"))
    assert {f"bev/{path.as_posix()}" for path in configs} | {"bev/py.typed"} <= set(names)
    (entry,) = (name for name in names if name.endswith("entry_points.txt"))
    assert "bevlab = bev.cli:main" in (tmp_path / "installed" / entry).read_text()
    code = (
        "import sys; sys.path.insert(0, 'installed'); sys.argv = ['bevlab', 'configs']\n"
        "import bev.cli; assert 'installed' in bev.__file__; bev.cli.main()\n"
        "from bev.config import load_file; print(load_file('lss_r50').name)"
    )
    listed = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    names = {line.split()[0].rpartition("/")[2] for line in listed.splitlines() if line.strip()}
    assert {path.stem for path in configs} <= names and listed.endswith("\nlss_r50\n")
