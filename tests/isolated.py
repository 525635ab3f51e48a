"""Runs Python in a process of its own, for what the tests' own process cannot do."""

import os
import subprocess
import sys
from pathlib import Path


def run(arguments: list[str | Path], **environment: str) -> str:
    """Standard output of ``python ARGUMENTS``; fails with both outputs if it fails."""
    finished = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    return finished.stdout


def run_cases(path: Path, *options: str, **environment: str) -> str:
    """Run a test file without the conftest, whose type checks wrap every function of ``bev``."""
    alone = ["-n", "0", "--noconftest", "-p", "no:cacheprovider"]
    return run(["-m", "pytest", "-q", *alone, *options, path], **environment)
