"""Helpers for tests of the tools on a minimal data set: edit tables, run tools, read messages."""

import json
import re
from pathlib import Path
from unittest.mock import patch

from commands import ROOT, attempt
from opened import opened
from own_data import CAMERAS, VERSION
from test_own_data import SMALL

CONFIG = ROOT / "configs" / "lss_r50_mini.py"
SPLITS = ["--data.train-split", "mine_train", "--data.val-split", "mine_val"]
TINY = [*SMALL, "--model.backbone.name", "resnet10t", "--train.pictures", "0"]


def edit(root: Path, table: str, version: str = VERSION, **fields: object) -> None:
    """Set fields of every row of a table."""
    path = root / version / f"{table}.json"
    path.write_text(json.dumps([{**row, **fields} for row in json.loads(path.read_text())]))


def train(root: Path, runs: Path, *more: object, config: Path = CONFIG) -> tuple[int, str, str]:
    """Train a tiny model for one step; returns (exit status, standard output, standard error)."""
    return attempt(
        "train.py", config, "--data.root", root, "--data.version", VERSION,
        "--data.cameras", *CAMERAS, *SPLITS, *TINY, "--data.workers", "0",
        "--train.runs", runs, "--train.run-name", "mine", *more,
    )  # fmt: skip


def checkpoint_of(root: Path, runs: Path, *more: object, config: Path = CONFIG) -> Path:
    """Checkpoint of a training that skips its evaluation, for tests of other tools."""
    from lightning import Trainer

    with patch.object(Trainer, "validate", side_effect=SystemExit):
        status, out, error = train(root, runs, *more, config=config)
    if status:  # not an AssertionError, which tests may expect
        raise RuntimeError(out[-2000:] + error[-4000:])
    return runs / config.stem / "mine" / "checkpoints" / "last.ckpt"


def check(root: Path, *more: object) -> tuple[str, list[str]]:
    """Output of ``check_data.py``, and its lines that report errors or warnings."""
    _, out, error = attempt("check_data.py", root, "--version", VERSION, *more)
    return out, reported(out, error)


def reported(*outputs: str) -> list[str]:
    """Error and warning lines in the outputs of a tool."""
    lines = [line.strip() for output in outputs for line in output.splitlines()]
    return [line for line in lines if re.match("(error|warning): ", line)]


def sentence(error: str) -> str:
    """The error message that ended a tool; empty if the tool ended otherwise."""
    last = "".join(error.strip().splitlines()[-1:])
    return last if last.startswith("error: ") and "Traceback" not in error else ""


def training_sample(root: Path):
    """The first training sample, without augmentation."""
    from bev.data.augmentation import BevAugmentation, ImageAugmentation
    from bev.data.dataset import KeyFrames
    from bev.data.settings import DataConfig

    config = DataConfig(
        root=root,
        version=VERSION,
        cameras=tuple(CAMERAS),
        image_size=(96, 176),
        image_augmentation=ImageAugmentation.off(),
        bev_augmentation=BevAugmentation.off(),
        workers=0,
    )
    return KeyFrames(opened(config).frames("mine_train"), config, training=True)[0]
