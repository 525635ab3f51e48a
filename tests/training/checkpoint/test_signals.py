"""Signals are handled after the step; a whole process group is stopped or killed."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bev.config import save_config
from bev.training.checkpoint.loading import read_checkpoint
from bev.training.checkpoint.signals import StopSignals

ROOT = Path(__file__).parents[3]


def test_a_second_interrupt_stops_at_once():
    signals = StopSignals()
    before = signal.getsignal(signal.SIGINT)
    signals.listen()
    try:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.received and signals.name == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signals.close()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_group_resumes(quick, tmp_path, number):
    """Dataloader workers get the signal too, as on a cluster."""
    base = tmp_path / "base.py"
    config = replace(quick, train=replace(quick.train, run_name="one"))
    config = replace(
        config,
        data=replace(config.data, workers=2),
        train=replace(config.train, runs=tmp_path, save_minutes=0.0, epochs=200, max_steps=200,
                      validate_every=0, precision="32", pictures=0),
    )  # fmt: skip
    save_config(config, tmp_path / "config.yaml")
    base.write_text(
        "import yaml\nfrom pathlib import Path\nfrom bev.config import Experiment\n"
        "from bev.serialization import from_plain\n"
        f"plain = yaml.safe_load(Path({str(tmp_path / 'config.yaml')!r}).read_text())\n"
        "config = from_plain(Experiment, plain)\n"
    )
    command = [sys.executable, str(ROOT / "tools" / "train.py"), str(base)]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    last = tmp_path / "base" / "one" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 300
    while not last.exists() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(running.pid, number)
    _, error = running.communicate(timeout=120)
    if number == signal.SIGTERM:
        assert running.returncode == 1
        assert error.strip().splitlines()[-1].startswith("error: Stopped by SIGTERM after step")
    step = read_checkpoint(last)["global_step"]
    assert 0 < step < 200
    done = subprocess.run(
        [*command, "--resume", str(last), "--train.max-steps", str(step + 2)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    once = subprocess.run(
        [*command, "--train.run-name", "two", "--train.max-steps", str(step + 2)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert once.returncode == 0, once.stderr[-2000:]
    resumed = read_checkpoint(last)
    unbroken = read_checkpoint(last.parents[2] / "two" / "checkpoints" / "last.ckpt")
    for kind in ("state_dict", "current_model_state"):
        for name, value in unbroken[kind].items():
            assert torch.equal(value, resumed[kind][name]), (kind, name)
