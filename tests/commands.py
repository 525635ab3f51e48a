"""The command lines as a user types them, on settings so small that a step takes no time."""

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
    "--train.threads", "1", "--train.precision", "32",  # what evaluate.py computes in
    "--train.schedule", "ConstantLR(factor=1.0)",  # which a longer run may go on with
]  # fmt: skip


def run(tool, *arguments, code=0, cwd=ROOT):
    """Run a tool in a process of its own; returns (standard output, standard error)."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BEV_")}
    done = run_forked(ROOT / "tools" / tool, *arguments, cwd=cwd, environment=environment)
    assert done.code == code, done.out[-2000:] + done.error[-4000:]
    return done.out, done.error


def call(tool, *arguments, code=0):
    """``run`` in this process, in its folder, where bev is imported and its types are checked.

    Nothing is left in the environment. Warnings and what was logged before are not in the outputs.
    """
    status, out, error = attempt(tool, *arguments)
    assert status == code, out[-2000:] + error[-4000:]
    return out, error


def ablate(arguments, vary, runs, *options):
    """Run a study's runs in this process, one after another; returns its table."""
    command = [*arguments, "--vary", vary, "--runs", runs, "--replicates", "20", *options]
    out, _ = call("ablate.py", *command, "--print")
    for line in out.splitlines():
        if line.startswith("bevlab train "):
            call("train.py", *shlex.split(line)[2:])
    return call("ablate.py", *command, "--table-only")[0]


def attempt(tool, *arguments):
    """``call`` with whatever exit status; returns (status, standard output, standard error).

    What would end the tool in a traceback is raised.
    """
    out, error = StringIO(), StringIO()
    path, status = ROOT / "tools" / tool, 0
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
