"""Saved files of earlier versions: files of 0.1.0, and the tables of later changes."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import ROOT, call

from bev import compatibility
from bev.config import load_file, load_module
from bev.data.augmentation import TransformCall
from bev.data.images.photometric import PhotometricRandAugment
from bev.errors import ConfigError
from bev.models import (
    CameraAwareDepthNetConfig,
    DepthSupervisionConfig,
    DualViewTransformConfig,
    ImageClassHeadConfig,
    SECONDFPNConfig,
)
from bev.serialization import from_plain, to_plain
from bev.training.settings import OptimizerCall

KEPT = ROOT / "tests" / "kept"
# Metrics of the kept checkpoint on the synthetic world's held-out scene, measured with 0.1.0.
FIGURES = {"NDS": 0.015217, "mATE": 1.153252, "mAVE": 0.878292}
DEPTH = {"depth_abs_rel": 2.792008, "depth_rmse": 21.499240}


def test_a_checkpoint_of_0_1_0_is_evaluated(synthetic_world, tmp_path):
    out, _ = call(
        "evaluate.py",
        KEPT / "checkpoint_0_1_0.ckpt",
        "--data.root",
        synthetic_world,
        "--out",
        tmp_path,
    )
    summary = json.loads((tmp_path / "metrics_summary.json").read_text())
    found = {
        "NDS": summary["nd_score"],
        "mATE": summary["tp_errors"]["trans_err"],
        "mAVE": summary["tp_errors"]["vel_err"],
    }
    assert found == pytest.approx(FIGURES, rel=2e-3)
    printed = {line.split()[0]: line.split()[1] for line in out.splitlines() if "depth_" in line}
    assert {n: float(v) for n, v in printed.items()} == pytest.approx(DEPTH, rel=2e-3)


@pytest.mark.slow
def test_a_config_of_0_1_0_starts_a_new_run(synthetic_world, tmp_path):
    config = load_file(KEPT / "config_0_1_0.yaml")
    assert isinstance(config.model.neck, SECONDFPNConfig)
    assert isinstance(config.model.view, DualViewTransformConfig)
    assert isinstance(config.model.view.lift.depth_net, CameraAwareDepthNetConfig)
    assert config.model.depth_supervision == DepthSupervisionConfig(1.0, "ce")
    assert config.model.image_head == ImageClassHeadConfig(0.5)
    assert str(config.train.optimizer) == "torch.optim.AdamW(fused=True)"
    assert {name for name in class_names(to_plain(config)) if not name.isidentifier()} == set()
    call(
        "train.py", KEPT / "config_0_1_0.yaml", "--data.root", synthetic_world,
        "--train.runs", tmp_path, "--train.run-name", "again", "--train.max-steps", "1",
        "--train.init.weights", KEPT / "checkpoint_0_1_0.ckpt",
    )  # fmt: skip
    folder = tmp_path / "kept_0_1_0" / "again"
    assert (folder / "run.json").is_file()
    for part in ("backbone", "neck", "view", "encoder", "head"):
        loaded, total = re.search(rf"  {part}: (\d+) of (\d+)", weights_report(folder)).groups()
        assert loaded == total


def class_names(plain: Any) -> Iterator[str]:
    """Values of all ``type`` entries."""
    for name, value in plain.items() if isinstance(plain, dict) else enumerate(plain):
        if name == "type":
            yield value
        elif isinstance(value, dict | list):
            yield from class_names(value)


def weights_report(folder: Path) -> str:
    return (folder / "weights.txt").read_text()


@dataclass(frozen=True)
class Part:
    """A part of a config in this version."""

    width: int = 4


@dataclass(frozen=True)
class WiderPart(Part):
    """A subclass that had another name in an earlier version."""

    depth: int = 2


@dataclass(frozen=True)
class Whole:
    part: Part = Part()


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setitem(compatibility.RENAMED_CLASSES, "BroadPart", "WiderPart")
    monkeypatch.setitem(compatibility.RENAMED_FIELDS, ("Part", "breadth"), "width")
    monkeypatch.setitem(compatibility.REMOVED_FIELDS, ("Part", "colour"), ("red", "0.1.0"))


@pytest.mark.parametrize(
    "plain",
    [
        {"type": "BroadPart", "breadth": 8},
        {"type": "old.module:BroadPart", "breadth": 8, "colour": "red"},
        {"type": "WiderPart", "width": 8, "depth": 2},
    ],
)
def test_renamed_and_removed_settings_are_read(table, plain):
    assert from_plain(Whole, {"part": plain}) == Whole(WiderPart(8))


def test_a_setting_that_moved_into_a_part_is_read(monkeypatch):
    """The saved config may contain the part or not."""
    monkeypatch.setitem(compatibility.RENAMED_FIELDS, ("Whole", "breadth"), "part.width")
    assert from_plain(Whole, {"breadth": 8}) == Whole(Part(8))
    part = {"type": "WiderPart", "depth": 3}
    assert from_plain(Whole, {"part": part, "breadth": 8}) == Whole(WiderPart(8, 3))


def test_a_removed_setting_that_was_used_names_the_version_that_reads_it(table):
    with pytest.raises(
        ConfigError, match=r"config.part.colour = 'blue': .* bevlab 0\.1\.0 reads it"
    ):
        from_plain(Whole, {"part": {"colour": "blue"}})


def test_a_subclass_is_saved_by_its_name_alone():
    assert to_plain(Whole(WiderPart()))["part"]["type"] == "WiderPart"


def test_the_tables_name_existing_classes_and_fields():
    """A target that was renamed again later would be read as unknown."""
    known = {
        name: kind
        for module in [m for n, m in sys.modules.items() if n.split(".")[0] == "bev"]
        for name, kind in vars(module).items()
        if is_dataclass(kind)
    }
    renamed = compatibility.RENAMED_CLASSES
    assert set(renamed.values()) <= set(known) and not set(renamed.values()) & set(renamed)
    for (owner, _), new in compatibility.RENAMED_FIELDS.items():
        *parts, field = new.split(".")
        kind = known[owner]
        for part in parts:
            kind = type(kind.__dataclass_fields__[part].default)
        assert field in kind.__dataclass_fields__
    for owner, old in compatibility.REMOVED_FIELDS:
        assert old not in known[owner].__dataclass_fields__


# Old flags of one config after another, with values.
OLD_FLAGS = {
    "multitask_r50": [
        "--model.depth-weight", "0.5", "--model.depth_loss", "bce", "--model.image-weight=0.1",
        "--model.test-mirror", "--model.head.overlap", "0.2", "--model.head.sectors", "4",
        "--model.head.sector-weight", "0.3", "--model.head.decode.peaks", "50",
        "--model.head.decode.group-boxes", "20", "--model.segmentation.least-visibility", "2",
        "--data.outlines.reach", "40", "--data.least-points", "2", "--train.clip", "3",
        "--data.lidar",
    ],
    "bevdet_r50_dev21": [
        "--model.no-test-mirror", "--model.temporal.frames", "0", "--model.head.decode.nms-scale",
        *(10 * ["0.5"]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", OLD_FLAGS)
def test_old_flags_are_accepted_by_commands_with_a_warning(name, tmp_path):
    """Each stands for the new one: the command ends at the next thing to check, the data root."""
    arguments = ["--data.root", tmp_path / "nowhere", *OLD_FLAGS[name]]
    with pytest.warns(FutureWarning) as warned:
        _, error = call("train.py", name, *arguments, code=1)
    assert error.splitlines()[-1].startswith(f"error: Data root {tmp_path / 'nowhere'} ")
    flags = [flag for flag in OLD_FLAGS[name] if flag.startswith("--") and flag != "--data.lidar"]
    assert len([w for w in warned if " is now --" in str(w.message)]) == len(flags)


def test_each_old_flag_of_a_config_is_tried():
    tried = " ".join(flag.replace("_", "-") for flags in OLD_FLAGS.values() for flag in flags)
    left = {old for old in compatibility.RENAMED_FLAGS if old not in tried}
    # A tuple of tuples has no flag of its own; evaluate.py has the last two.
    assert left == {"--model.head.groups", "--mirror", "--no-mirror"}


def test_a_transform_of_0_1_0_is_found_after_its_move():
    text = "bev.data.photometric.PhotometricRandAugment(2, 9)"
    call = TransformCall.parse(text, look_up=False)
    assert call == TransformCall(PhotometricRandAugment, 2, 9)
    assert call.target is PhotometricRandAugment


def test_a_saved_custom_optimiser_is_not_taken_for_torchs():
    saved = OptimizerCall.parse("mine.SGD(momentum=0.9)", look_up=False)
    assert str(saved) == "SGD(momentum=0.9)"
    with pytest.raises(ConfigError, match="SGD is not an optimiser of torch known here"):
        saved.build([torch.nn.Parameter(torch.ones(1))])


def test_a_class_with_the_name_of_another_is_not_saved(tmp_path):
    """Running the same file twice is allowed: both classes have one source."""
    shipped, mine = tmp_path / "shipped.py", tmp_path / "mine.py"
    for path in (shipped, mine):
        path.write_text(
            "from dataclasses import dataclass\nfrom test_compatibility import Part\n\n"
            "@dataclass(frozen=True)\nclass Twin(Part):\n    depth: int = 2\n"
        )
    first, again = (load_module(shipped).Twin for _ in range(2))
    assert first is not again and to_plain(Whole(again()))["part"]["type"] == "Twin"
    other = load_module(mine).Twin
    sentence = r"Twin of bev_config_mine\w+ has the name .* bev_config_shipped\w+, .*rename yours"
    with pytest.raises(ConfigError, match=sentence):
        to_plain(Whole(other()))


def test_kept_files_are_small():
    assert all(path.stat().st_size < 2**20 for path in Path(KEPT).iterdir())
