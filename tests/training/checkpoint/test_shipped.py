"""Models of the package: their files, the names that stand for them, and what they detect."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import call
from safetensors import safe_open

from bev.cli import models
from bev.data.dataset import KeyFrames
from bev.errors import CheckpointError, WeightsError
from bev.evaluation.predict import blanked
from bev.models.weights import read_weights, write_weights
from bev.models.weights.shipped import SHIPPED, located, shipped_name
from bev.serialization import to_plain
from bev.training.checkpoint import export_weights, home_of, load_checkpoint
from bev.training.checkpoint.loading import read_checkpoint

NAMES = r"named synthetic and synthetic-temporal\."


@pytest.mark.parametrize("name", SHIPPED)
def test_a_file_is_small_in_half_precision_and_names_no_place_of_a_machine(name):
    path = SHIPPED[name].path
    assert path.stat().st_size <= 6_000_000
    with safe_open(path, "pt") as file:
        slices = [file.get_slice(name) for name in file.keys()]  # noqa: SIM118
        kinds = {(len(one.get_shape()), one.get_dtype()) for one in slices}
        config = json.loads(file.metadata()["config"])
    assert {kind for size, kind in kinds if size > 1} == {"F16"}
    assert {kind for size, kind in kinds if size == 1} == {"F32"}

    def strings(value) -> list[str]:
        if isinstance(value, str):
            return [value]
        parts = value.values() if isinstance(value, dict) else value
        return sum(map(strings, parts), []) if isinstance(value, dict | list) else []

    assert [text for text in strings(config) if text.startswith(("/", "~"))] == []
    assert (config["data"]["workers"], config["data"]["image_cache"]) == (-1, 0.0)


def test_a_name_stands_for_the_file_unless_a_file_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = Path("synthetic")
    assert located(name) == SHIPPED["synthetic"].path
    assert home_of(name) == home_of(SHIPPED["synthetic"].path) == Path("runs/synthetic")
    (tmp_path / "synthetic").mkdir()  # such as a data set's folder: no checkpoint
    assert located(name) == SHIPPED["synthetic"].path
    (tmp_path / "synthetic").rmdir()
    torch.save({}, tmp_path / "synthetic")
    assert located(name) == name and shipped_name(name) == ""
    assert home_of(name) == tmp_path
    with pytest.raises(CheckpointError, match="Checkpoint synthetic contains no config"):
        load_checkpoint(name)


def test_an_unknown_name_is_answered_with_the_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=rf"syntetic does not exist.*{NAMES}"):
        load_checkpoint(Path("syntetic"))
    with pytest.raises(WeightsError, match=rf"syntetic does not exist.*{NAMES}"):
        read_weights(Path("syntetic"))
    for tool in ("visualize.py", "evaluate.py", "export.py"):
        _, error = call(tool, "syntetic", code=1)
        assert re.search(NAMES, error), tool


def test_half_precision_rounds_kernels_alone(tmp_path):
    state = {
        "kernel": torch.tensor([[1.0, 1.0 + 2**-12, 65504.0]]),
        "variance": torch.tensor([1e9, 1.0 + 2**-12]),
        "count": torch.tensor(3),
    }
    write_weights(path := tmp_path / "half.safetensors", state, half=True)
    read = read_weights(path)
    assert {value.dtype for value in read.values()} == {torch.float32, torch.int64}
    assert read["kernel"].tolist() == [[1.0, 1.0, 65504.0]]
    assert torch.equal(read["variance"], state["variance"]) and read["count"] == 3
    with pytest.raises(WeightsError, match="kernel has numbers too large for half precision"):
        write_weights(path, {"kernel": state["kernel"] * 2}, half=True)
    assert torch.equal(read_weights(path)["kernel"], read["kernel"])  # the earlier file is whole


def tensors(path: Path) -> tuple[dict, bytes]:
    """Header and numbers of the tensors of a safetensors file."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    del header["__metadata__"]  # in any order; later versions add settings to the config in it
    return header, content[end:]


def test_an_export_of_a_shipped_file_is_the_same_file(tmp_path, monkeypatch):
    """Rounding twice changes nothing, and neither do the config's settings of a machine."""
    monkeypatch.chdir(tmp_path)
    out, _ = call("export.py", "synthetic", "--half")
    assert "synthetic.safetensors is written" in out
    written = tmp_path / "synthetic.safetensors"
    assert tensors(written) == tensors(SHIPPED["synthetic"].path)
    assert load_checkpoint(written)[0] == load_checkpoint(Path("synthetic"))[0]
    export_weights(written, full := tmp_path / "full.safetensors")
    before, after = (read_checkpoint(path) for path in (written, full))
    assert before["config"] == after["config"]
    assert all(torch.equal(t, after["state_dict"][n]) for n, t in before["state_dict"].items())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_finds_objects_in_images_and_not_in_grey_ones(name, synthetic_world):
    config, model = load_checkpoint(Path(name))
    assert {p.dtype for p in model.parameters()} == {torch.float32} and config.model == model.config
    data = replace(config.data, root=synthetic_world)
    frames = data.source.open(data).frames("synthetic_val")
    batch = KeyFrames(frames, data, training=False)[2]
    truth = frames[2].boxes.center[:, :2]

    def found(boxes) -> tuple[int, int]:
        """Number of confident boxes, and of those within two metres of an object."""
        sure = boxes.center[boxes.score > 0.3][:, :2]
        return len(sure), int((torch.cdist(sure, truth.to(sure)) < 2).any(dim=1).sum())

    (boxes,), (guessed,) = model.detect(batch), model.detect(blanked(batch))
    count, right = found(boxes)
    assert count >= 5 and right >= 0.7 * count
    assert found(guessed)[1] <= 1


def test_the_list_names_each_model_with_its_figures(capsys):
    models.main([], "bevlab models")
    text = capsys.readouterr().out
    for name, model in SHIPPED.items():
        row = next(line for line in text.splitlines() if line.startswith(f"{name} "))
        assert f"{model.mean_ap:.3f}" in row and f"{model.parameters / 1e6:.2f} M" in row
        _, detector = load_checkpoint(Path(name))
        assert model.parameters == sum(p.numel() for p in detector.parameters())


def test_an_export_names_no_folder_of_the_weights_that_training_began_with(tmp_path):
    config, model = load_checkpoint(Path("synthetic"))
    start = replace(config.train.init, weights=tmp_path / "first.ckpt")
    backbone = replace(config.model.backbone, weights=tmp_path / "backbone.pth")
    config = replace(config, train=replace(config.train, init=start))
    config = replace(config, model=replace(config.model, backbone=backbone))
    write_weights(tmp_path / "a.safetensors", model.state_dict(), to_plain(config))
    export_weights(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    found = load_checkpoint(tmp_path / "b.safetensors")[0]
    assert found.train.init.weights == Path("first.ckpt")
    assert found.model.backbone.weights == Path("backbone.pth")
