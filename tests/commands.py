"""Run the commands with the arguments of a user; ``SMALL`` makes a step fast."""

import os
import runpy
import shlex
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from isolated import run_forked

ROOT = Path(__file__).parents[1]
SMALL = [
    "--model.backbone.channels", "8", "8", "16", "16", "--model.backbone.stem", "8",
    "--model.neck.channels", "16", "--model.view.channels", "8",
    "--model.view.depth-net.hidden", "0", "--model.encoder.neck", "16",
    "--model.encoder.stages", "16", "16", "16",
    "--model.encoder.channels", "16", "--model.head.shared", "16",
    "--data.image-size", "64", "176", "--train.epochs", "1", "--train.pictures", "1",
    "--train.tensorboard.pictures", "0", "--train.tensorboard.no-graph",
    "--train.threads", "1", "--train.precision", "32",  # the precision of evaluate.py
    "--train.schedule", "ConstantLR(factor=1.0)",  # a schedule that allows a longer resumed run
]  # fmt: skip


NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}  # several processes train on CPUs, or on a GPU each


def run(tool, *arguments, code=0, cwd=ROOT, variables=None):
    """Run a tool in a separate process; returns (standard output, standard error)."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BEV_")}
    environment |= variables or {}
    arguments = _without_pictures(tool, arguments)
    done = run_forked(ROOT / "tools" / tool, *arguments, cwd=cwd, environment=environment)
    assert done.code == code, done.out[-2000:] + done.error[-4000:]
    return done.out, done.error


def call(tool, *arguments, code=0):
    """Run a tool in this process, in which types of bev are checked; returns its outputs.

    The working folder is that of this process, and the environment is restored. The outputs contain
    neither warnings nor messages that were logged before.
    """
    status, out, error = attempt(tool, *arguments)
    assert status == code, out[-2000:] + error[-4000:]
    return out, error


def ablate(arguments, vary, runs, *options):
    """Run a study in this process, one run after another; returns its table."""
    command = [*arguments, "--vary", vary, "--runs", runs, "--replicates", "20", *options]
    out, _ = call("ablate.py", *command, "--print")
    for line in out.splitlines():
        if line.startswith("bevlab train "):
            call("train.py", *shlex.split(line)[2:])
    return call("ablate.py", *command, "--table-only")[0]


def attempt(tool, *arguments):
    """Like ``call`` with any exit status; returns (status, standard output, standard error).

    An error that would end the tool in a traceback is raised.
    """
    out, error = StringIO(), StringIO()
    path, status = ROOT / "tools" / tool, 0
    arguments = _without_pictures(tool, arguments)
    with (
        patch.object(sys, "argv", [str(path), *map(str, arguments)]),
        patch.dict(os.environ),
        redirect_stdout(out),
        redirect_stderr(error),
    ):
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as stop:
            status = stop.code or 0
    return status, out.getvalue(), error.getvalue()


def _without_pictures(tool, arguments):
    """The arguments; evaluations draw pictures only where a test asks for them."""
    asked = {"--pictures", "--help"} & set(map(str, arguments))
    return arguments if asked or tool != "evaluate.py" else (*arguments, "--pictures", "0")
