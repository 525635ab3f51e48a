"""What the tools find in the environment that a cluster or a notebook starts them in."""

from importlib.util import find_spec

import pytest
import torch
from commands import run
from own_data import CAMERAS, VERSION
from own_runs import CONFIG, sentence, train


@pytest.mark.skipif(torch.cuda.is_available(), reason="two processes need as many GPUs, if any")
@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="under SLURM with one task two devices are one process, and nothing says so",
)
def test_two_devices_in_a_slurm_job_of_one_task(own, tmp_path, monkeypatch, begun):
    """Lightning#18104, #18504, lightning-pose#220: sbatch without srun."""
    job = {"JOB_ID": 1, "JOBID": 1, "JOB_NAME": "train", "NNODES": 1, "NTASKS": 1}
    job |= {"PROCID": 0, "LOCALID": 0, "NODEID": 0}
    job |= {"NODELIST": "localhost", "JOB_NODELIST": "localhost"}
    for name, value in job.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    status, _, error = train(own, tmp_path, "--train.devices", "2")
    processes = [trainer.world_size for trainer in begun]
    assert processes == [2] or (status == 1 and sentence(error)), processes


@pytest.mark.skipif(find_spec("matplotlib_inline") is not None, reason="the backend is here, too")
def test_the_plots_backend_of_a_notebook_does_not_matter(own, tmp_path, monkeypatch):
    """matplotlib-inline in another environment: `!python tools/...` from Jupyter or Colab."""
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    run(
        "visualize.py", CONFIG, "--data.root", own, "--data.version", VERSION, "--data.cameras",
        *CAMERAS, "--split", "mine_val", "--samples", "1", "--out", tmp_path,
    )  # fmt: skip
    assert len(list(tmp_path.glob("*.png"))) == 1
