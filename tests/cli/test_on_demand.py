"""Stand-ins of modules, which ``bevlab detect`` does not import."""

import json
import subprocess
import sys

import pytest
from rig_folder import write_folder

from bev import load_detector
from bev.cli.detect.on_demand import OnDemand

HEAVY = (
    "sympy", "triton", "torch._inductor", "torch._dynamo.convert_frame",
    "lightning", "tensorboard", "matplotlib", "pandas", "nuscenes", "wandb.sdk", "typeguard",
    "viser", "onnx",
)  # fmt: skip


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a submodule, behind stand-ins of both."""
    folder = tmp_path / "made_slow"
    folder.mkdir()
    (folder / "__init__.py").write_text("from made_slow.utils import helper\nvalue = 7\n")
    (folder / "utils.py").write_text("def helper():\n    return 'the module'\n")
    (folder / "deep.py").write_text("value = 9\n")
    monkeypatch.syspath_prepend(tmp_path)
    family = ("made_slow", "made_slow.utils")
    for name in [*family, "made_slow.deep"]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    own = {"helper": lambda: "the stand-in"}
    stand_ins = OnDemand(family[0], own, family, package=True), OnDemand(family[1], own, family)
    for name, stand_in in zip(family, stand_ins, strict=True):
        monkeypatch.setitem(sys.modules, name, stand_in)
    return stand_ins


def test_known_functions_import_nothing(package):
    import made_slow  # type: ignore[import-not-found]
    from made_slow.utils import helper  # type: ignore[import-not-found]

    assert made_slow.helper() == helper() == "the stand-in"
    assert [sys.modules["made_slow"], sys.modules["made_slow.utils"]] == list(package)
    assert not hasattr(made_slow, "__wrapped__")


def test_anything_else_imports_the_module_and_its_family(package):
    import made_slow

    assert made_slow.value == 7 and made_slow.value == 7
    assert sys.modules["made_slow"] is not package[0]
    assert sys.modules["made_slow.utils"].helper() == "the module"
    assert package[1].__name__ == "made_slow.utils"


def test_a_submodule_without_a_stand_in_is_imported(package):
    from made_slow.deep import value  # type: ignore[import-not-found]

    assert value == 9 and sys.modules["made_slow"].value == 7


@pytest.mark.slow
def test_detect_imports_no_compiler(single, tmp_path):
    """In a new process: no compiler and no libraries of training; afterwards all of it works."""
    data = load_detector(single, "cpu").config.data
    write_folder(tmp_path, data.source.open(data).frames("synthetic_val")[:1])
    script = f"""
import sys, json
from bev.cli import main
main()
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
import torch, torchvision, torch._dynamo
from torchvision.transforms import v2
boxes = torch.tensor([[0.0, 0.0, 0.0, 8.0, 8.0]])
pooled = torchvision.ops.roi_align(torch.ones(1, 1, 8, 8), boxes, 2)
doubled = torch.compile(lambda x: x + x, backend="eager")
assert pooled.unique().tolist() == [1.0] and doubled(torch.ones(2)).tolist() == [2.0, 2.0]
"""
    place = ["--rig", tmp_path / "rig.yaml", "--images", tmp_path / "images"]
    words = ["detect", "synthetic", *place, "--out", tmp_path / "out", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert (tmp_path / "out" / "boxes.json").is_file()
