"""``bevlab evaluate CHECKPOINT --devices 2``: the files of one process."""

import re
import shutil
from dataclasses import replace

import pytest
import torch
from commands import NO_GPU, ROOT, attempt, run
from shrunken import shrunken

from bev.config import load_file
from bev.models.weights import write_weights
from bev.serialization import to_plain
from bev.training.distributed import launch


def untrained(config_name, folder, **data):
    """Checkpoint of a shrunken config with random weights, which detects many boxes."""
    config = shrunken(load_file(ROOT / "configs" / f"{config_name}.py"))
    config = replace(config, data=replace(config.data, workers=0, **data))
    torch.manual_seed(0)
    path = folder / "model.safetensors"
    write_weights(path, config.model.build().state_dict(), to_plain(config))
    return path


def written(folder):
    """Content of the JSON files of an evaluation, without the time that it took."""
    text = {file.name: file.read_text() for file in folder.glob("*.json")}
    return {name: re.sub(r'"eval_time": [\d.]+', "", content) for name, content in text.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, batch_size",
    [("lss_synthetic", 1), ("bevdet4d_synthetic", 2), ("lss_seg_synthetic", 4)],
)
def test_two_processes_write_the_files_of_one(name, batch_size, synthetic_world, tmp_path):
    """Boxes of one frame and of two, and segmentation; of four frames, the last as one batch."""
    path = untrained(name, tmp_path, batch_size=batch_size, root=synthetic_world)
    options = {**NO_GPU, "OMP_NUM_THREADS": "1"}
    printed = {}
    for count in (1, 2):
        arguments = (path, "--out", tmp_path / f"{count}", "--devices", f"{count}")
        printed[count], _ = run("evaluate.py", *arguments, variables=options)
    of_one, of_two = (written(tmp_path / f"{count}") for count in (1, 2))
    assert of_one and of_one == of_two
    first, second = (text.replace(f"{tmp_path}/{n}", "") for n, text in printed.items())
    assert first == second  # one process prints


@pytest.mark.slow
def test_a_frame_that_another_process_cannot_read_is_named(synthetic_world, tmp_path):
    world = tmp_path / "world"
    shutil.copytree(synthetic_world, world)
    path = untrained("lss_synthetic", tmp_path, batch_size=1, root=world)
    source = load_file(ROOT / "configs" / "lss_synthetic.py").data
    data = replace(source, root=world)
    last = data.source.open(data).frames(data.splits[1])[-1]
    image = last.cameras[0].path
    image.write_bytes(b"no image")
    arguments = (path, "--out", tmp_path / "out", "--devices", "2")
    _, error = run("evaluate.py", *arguments, code=1, variables=NO_GPU)
    assert image.name in error and "Traceback" not in error


def test_more_processes_than_the_machine_has_are_refused(synthetic_world, tmp_path, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr(launch, "default_device", lambda: torch.device("cpu"))
    path = untrained("lss_synthetic", tmp_path, root=synthetic_world)
    status, _, error = attempt("evaluate.py", path, "--out", tmp_path / "out", "--devices", "5")
    assert status == 1 and "devices is 5, and this machine has 4 cores; set --devices 0" in error
