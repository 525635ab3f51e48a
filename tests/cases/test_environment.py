"""Environment variables of a cluster or a notebook in which the tools are started."""

from importlib.util import find_spec

import pytest
import torch
from commands import run
from own_data import CAMERAS, VERSION
from own_runs import CONFIG, train


@pytest.mark.skipif(torch.cuda.is_available(), reason="two processes need as many GPUs, if any")
def test_two_devices_in_a_slurm_job_of_one_task(own_root, tmp_path, monkeypatch, started_trainers):
    """Lightning#18104, #18504, lightning-pose#220: sbatch without srun."""
    job = {"JOB_ID": 1, "JOBID": 1, "JOB_NAME": "train", "NNODES": 1, "NTASKS": 1}
    job |= {"PROCID": 0, "LOCALID": 0, "NODEID": 0}
    job |= {"NODELIST": "localhost", "JOB_NODELIST": "localhost"}
    for name, value in job.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    status, _, error = train(own_root, tmp_path, "--train.devices", "2")
    processes = [trainer.world_size for trainer in started_trainers]
    assert processes == [2], (status, error)


@pytest.mark.skipif(
    find_spec("matplotlib_inline") is not None, reason="the backend is installed here"
)
def test_the_matplotlib_backend_of_a_notebook_is_ignored(own_root, tmp_path, monkeypatch):
    """matplotlib-inline in another environment: ``!python tools/...`` in Jupyter or Colab."""
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    run(
        "visualize.py", CONFIG, "--data.root", own_root, "--data.version", VERSION,
        "--data.cameras", *CAMERAS, "--split", "mine_val", "--samples", "1", "--out", tmp_path,
    )  # fmt: skip
    assert len(list(tmp_path.glob("*.png"))) == 1
