"""Training on a disk that fills up, or with a limit on file sizes, in real processes."""

import shlex
import subprocess
import sys

import pytest
import torch
from commands import ROOT, SMALL

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="mounts and limits of Linux"),
]


@pytest.mark.parametrize(
    "limit",
    [
        "mount -t tmpfs -o size=64k none RUNS",
        "mount -t tmpfs -o size=1m none RUNS",
        "mount -t tmpfs -o size=3m none RUNS",
        "ulimit -f 20",  # blocks of 1024 bytes
        "ulimit -f 200",
        "mount -t tmpfs -o size=1m,mode=000,ro none RUNS",
        "rmdir RUNS && touch RUNS",
    ],
)
def test_training_without_room_ends_in_one_sentence(limit, synthetic_world, tmp_path):
    runs, kept = tmp_path / "runs", tmp_path / "kept"
    runs.mkdir()
    kept.mkdir()
    arguments = [
        ROOT / "tools" / "train.py", "lss_synthetic", *SMALL, "--data.root", synthetic_world,
        "--train.runs", runs, "--train.run-name", "full", "--train.devices", "1",
        "--train.save-minutes", "0", "--train.pictures", "0", "--data.workers", "0",
        "--train.epochs", "2", "--train.max-steps", "6",
    ]  # fmt: skip
    training = shlex.join([sys.executable, *map(str, arguments)])
    command = f"{limit.replace('RUNS', str(runs))} && {training}"
    command += f"; status=$?; cp -r {runs}/. {kept}; exit $status"
    if subprocess.run(["unshare", "-rm", "true"]).returncode:
        pytest.skip("no user namespaces")
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", command], capture_output=True, text=True, cwd=ROOT
    )
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(errors) == 1, done.stderr[-3000:]
    for path in kept.rglob("*.ckpt"):
        assert "state_dict" in torch.load(path, weights_only=True)
    assert not list(kept.rglob("*.partial"))
