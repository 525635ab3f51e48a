"""Two machines, each with a process that torchrun starts; here both are this machine."""

import json
import os
import socket
import subprocess
import sys

import pytest
from commands import NO_GPU, ROOT, SMALL, run


def on_two_machines(*words):
    """Run a tool by one torchrun for each machine; returns the output of the first."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [
        subprocess.Popen(
            [
                sys.executable, "-m", "torch.distributed.run", "--nnodes", "2",
                "--node-rank", str(number), "--nproc-per-node", "1",
                "--master-addr", "127.0.0.1", "--master-port", str(port), *map(str, words),
            ],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | NO_GPU,
        )
        for number in range(2)
    ]  # fmt: skip
    ended = [process.communicate(timeout=600) for process in started]
    for process, (out, error) in zip(started, ended, strict=True):
        assert process.returncode == 0, out[-1000:] + error[-3000:]
    assert ended[1][0] == ""  # the second machine prints nothing
    return ended[0][0]


@pytest.mark.slow
def test_both_machines_train_one_run_and_evaluate_it(synthetic_world, tmp_path):
    out = on_two_machines(
        ROOT / "tools" / "train.py", ROOT / "configs" / "lss_synthetic.py",
        "--data.root", synthetic_world, "--train.runs", tmp_path, "--train.run-name", "both",
        *SMALL, "--train.pictures", "0", "--train.tensorboard.no-events", "--data.workers", "0",
        "--data.batch-size", "2",
    )  # fmt: skip
    folder = tmp_path / "lss_synthetic" / "both"
    assert "synthetic_val after" in out
    assert json.loads((folder / "run.json").read_text())["processes"] == 2
    best = folder / "checkpoints" / "best.ckpt"
    tool = ROOT / "tools" / "evaluate.py"
    out = on_two_machines(tool, best, "--out", tmp_path / "two", "--pictures", "0")
    assert "NDS" in out
    run("evaluate.py", best, "--out", tmp_path / "one", variables=NO_GPU)
    one, two = ((tmp_path / name / "results_nusc.json").read_bytes() for name in ("one", "two"))
    assert one == two
