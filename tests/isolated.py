"""Run Python in a separate process, for tests that cannot use their own."""

import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import pytest.__main__

# Libraries that take up to ten seconds to import; none imports bev.
LIBRARIES = [
    "lightning.pytorch", "matplotlib.pyplot", "nuscenes", "timm", "torchvision", "tyro",
]  # fmt: skip


class Ended(NamedTuple):
    """Exit status and outputs of a finished process."""

    code: int
    out: str
    error: str


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
    """Run a test file without the conftest, whose type checks wrap every function of ``bev``.

    With ``environment`` the process is a new one, because libraries read variables while they are
    imported; otherwise it is forked.
    """
    alone = ["-n", "0", "--noconftest", "-p", "no:cacheprovider"]
    arguments = ["-q", *alone, *options, path]
    if environment:
        return run(["-m", "pytest", *arguments], **environment)
    done = run_forked(pytest.__main__.__file__, *arguments)
    assert done.code == 0, done.out[-3000:] + done.error[-3000:]
    return done.out


def run_forked(
    script: str | Path,
    *arguments: str | Path,
    cwd: str | Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Ended:
    """Run ``python SCRIPT ARGUMENTS`` in a process with ``LIBRARIES`` imported but not ``bev``.

    The process is forked from a server without tests or type checks, which is kept for later calls:
    importing the libraries takes ten times as long as most of these scripts.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        command = [sys.executable, str(script), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)
        return Ended(done.returncode, done.stdout, done.stderr)
    with tempfile.TemporaryDirectory() as folder:
        process = start_forked(Path(folder), script, *arguments, cwd=cwd, environment=environment)
        process.join(900)
        assert process.exitcode is not None, f"{script} still runs after 900 s"
        texts = [(Path(folder) / name).read_text() for name in ("out", "error")]
    return Ended(process.exitcode, *texts)


def start_forked(
    folder: Path,
    script: str | Path,
    *arguments: str | Path,
    cwd: str | Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> BaseProcess:
    """Start ``python SCRIPT ARGUMENTS`` as :func:`run_forked` does, without waiting for its end.

    Its outputs go to the files ``out`` and ``error`` of a folder.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    job = (
        [str(script), *map(str, arguments)], str(cwd or Path.cwd()), dict(environment), str(folder),
    )  # fmt: skip
    process = context.Process(target=_be_script, args=job)
    with pytest.MonkeyPatch.context() as patch:  # the first call starts the server
        patch.delenv("MPLBACKEND", raising=False)
        process.start()
    return process


def run_ranks(program: Path, processes: int, folder: Path) -> list:
    """Run ``python PROGRAM FOLDER`` once per rank; what each writes into ``FOLDER/rankN.pt``."""
    import torch  # after the conftest has chosen the cores

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def process(rank: int) -> Ended:
        place = {"LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = os.environ | {name: str(value) for name, value in place.items()}
        return run_forked(program, folder, environment=environment)

    with ThreadPoolExecutor(processes) as pool:
        for done in pool.map(process, range(processes)):
            assert done.code == 0, done.error[-3000:]
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(processes)]


def _be_script(argv: list[str], cwd: str, environment: dict[str, str], folder: str) -> None:
    for name, stream in (("out", sys.stdout), ("error", sys.stderr)):
        with (Path(folder) / name).open("w") as file:
            os.dup2(file.fileno(), stream.fileno())
    # A process of a fork server would start its own ones, dataloader workers, by another server.
    multiprocessing.set_start_method(None, force=True)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = argv
    # Not the folders that pytest added: tests/models holds a folder called bev.
    tests = str(Path(__file__).parent)
    sys.path = [str(Path(argv[0]).absolute().parent), *(p for p in sys.path if tests not in p)]
    runpy.run_path(argv[0], run_name="__main__")
