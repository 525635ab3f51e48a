"""Writing of checkpoints: complete, readable and finite, or the earlier one is kept."""

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from commands import NO_GPU, ROOT, SMALL, run
from lightning import Trainer

from bev.errors import TrainingError
from bev.training.checkpoint import io
from bev.training.checkpoint.io import CheckedCheckpointIO, partial_of, raise_fault


def checkpoint(value: float = 1.0, size: int = 8) -> dict:
    weights = {"model.weight": torch.full((size,), value), "model.steps": torch.tensor(3)}
    momentum = {"state": {0: {"momentum": torch.full((size,), 2.0)}}}
    return {"global_step": 4, "state_dict": weights, "optimizer_states": [momentum]}


def value_of(path: Path) -> float:
    return torch.load(path, weights_only=True)["state_dict"]["model.weight"][0].item()


@pytest.fixture
def last(tmp_path) -> Path:
    """A valid checkpoint of an earlier step."""
    path = tmp_path / "checkpoints" / "last.ckpt"
    CheckedCheckpointIO().save_checkpoint(checkpoint(), path)
    return path


def refused(path: Path, content: dict, message: str) -> None:
    """Check that writing fails with a one-line message and changes nothing in the folder."""
    before, names = path.read_bytes(), sorted(path.parent.iterdir())
    with pytest.raises(TrainingError, match=message) as error:
        CheckedCheckpointIO().save_checkpoint(content, path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    assert path.read_bytes() == before and sorted(path.parent.iterdir()) == names


def test_a_checkpoint_replaces_the_earlier_one(last):
    CheckedCheckpointIO().save_checkpoint(checkpoint(2.0), last)
    assert value_of(last) == 2.0 and [p.name for p in last.parent.iterdir()] == ["last.ckpt"]


def test_a_partial_file_of_a_killed_run_is_overwritten(last):
    partial_of(last).write_bytes(b"cut off" * 10_000)
    assert value_of(last) == 1.0
    CheckedCheckpointIO().save_checkpoint(checkpoint(2.0), last)
    assert value_of(last) == 2.0 and not partial_of(last).exists()


def test_an_interrupt_while_writing_keeps_the_earlier_checkpoint(last, monkeypatch):
    def save(content, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(KeyboardInterrupt):
        CheckedCheckpointIO().save_checkpoint(checkpoint(2.0), last)
    assert value_of(last) == 1.0


@pytest.mark.parametrize("part", ["state_dict", "current_model_state"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused(last, part, value):
    content = {**checkpoint(2.0), part: checkpoint(value)["state_dict"]}
    refused(last, content, rf"not finite after step 4 \(first {part}.model.weight\).*--train.lr")


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_optimiser_states_that_cease_to_be_finite_are_refused(last, value):
    """An optimiser may keep infinities from the start; that is then in the first file as well."""
    content = checkpoint(2.0)
    content["optimizer_states"].append(torch.tensor(value))
    refused(last, content, r"optimiser is not finite after step 4 \(optimizer_states.*--train.lr")
    first = last.with_name("first.ckpt")
    CheckedCheckpointIO().save_checkpoint(content, first)
    content["state_dict"] = checkpoint(3.0)["state_dict"]
    CheckedCheckpointIO().save_checkpoint(content, first)
    assert value_of(first) == 3.0


def test_a_full_disk_is_reported_in_one_sentence(last):
    """A limit on the size of files stops the writer in the middle of the tensors."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        refused(last, checkpoint(2.0, size=100_000), "cannot be written.*File too large.*resume")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_that_cannot_be_written_to_is_reported_in_one_sentence(last):
    (last.parent / "file").write_text("in the way of a folder")
    path = last.parent / "file" / "last.ckpt"
    with pytest.raises(TrainingError, match=rf"{path} cannot be written \(.*make .*/file writable"):
        CheckedCheckpointIO().save_checkpoint(checkpoint(), path)


@pytest.mark.parametrize("fault", ["flipped", "cut"])
def test_corrupted_bytes_on_disk_are_detected(last, monkeypatch, fault):
    plain = torch.save

    def save(content, file):
        plain(content, file)
        file.flush()
        whole = bytearray(Path(file.name).read_bytes())
        place = whole.find(torch.full((8,), 2.0).numpy().tobytes())
        whole[place] ^= 1
        Path(file.name).write_bytes(whole if fault == "flipped" else whole[:-100])

    monkeypatch.setattr(torch, "save", save)
    refused(last, checkpoint(2.0), "cannot be read back")


def test_content_that_is_no_plain_data_is_refused(last):
    """A resumed run reads plain data alone and could not load it."""
    content = {**checkpoint(2.0), "callbacks": {"Own": {"place": Path("x")}}}
    refused(last, content, "cannot be read back.*neither tensors nor plain data")


def test_a_checkpoint_is_flushed_before_it_is_renamed(last, monkeypatch):
    """Flush the file, rename it, then flush its folder."""
    acts = []
    sync, replace = io.os.fsync, io.os.replace
    monkeypatch.setattr(io.os, "fsync", lambda number: (acts.append("flush"), sync(number)))
    monkeypatch.setattr(io.os, "replace", lambda *paths: (acts.append("name"), replace(*paths)))
    CheckedCheckpointIO().save_checkpoint(checkpoint(2.0), last)
    assert acts == ["flush", "name", "flush"]


def test_a_folder_of_a_sharded_strategy_is_replaced(tmp_path):
    path = tmp_path / "last.ckpt"
    (path / "shards").mkdir(parents=True)
    CheckedCheckpointIO().save_checkpoint(checkpoint(2.0), path)
    assert value_of(path) == 2.0


def test_a_write_error_of_one_process_is_raised_on_all(last, monkeypatch):
    """The error is kept until all processes ask for it; until then the others wait."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    plugin = CheckedCheckpointIO()
    plugin.save_checkpoint(checkpoint(torch.nan), last)
    assert value_of(last) == 1.0

    def trainer(plugin, broadcast):
        strategy = SimpleNamespace(checkpoint_io=plugin, broadcast=broadcast)
        return Mock(spec=Trainer, strategy=strategy)

    with pytest.raises(TrainingError, match="not finite after step 4"):
        raise_fault(trainer(plugin, lambda own: own))
    with pytest.raises(TrainingError, match="not finite after step 4"):
        raise_fault(trainer(CheckedCheckpointIO(), lambda own: plugin.fault))  # on another process
    raise_fault(trainer(CheckedCheckpointIO(), lambda own: own))


@pytest.mark.slow
def test_two_processes_end_together_if_one_cannot_write(synthetic_world, tmp_path):
    folder = tmp_path / "lss_synthetic" / "together"
    folder.mkdir(parents=True)
    (folder / "checkpoints").write_text("in the way of a folder")
    _, error = run(
        "train.py", ROOT / "configs" / "lss_synthetic.py", *SMALL, "--data.root", synthetic_world,
        "--train.runs", tmp_path, "--train.run-name", "together", "--train.devices", "2",
        "--train.save-minutes", "0", code=1, variables=NO_GPU,
    )  # fmt: skip
    assert "cannot be written" in error and "Traceback" not in error
