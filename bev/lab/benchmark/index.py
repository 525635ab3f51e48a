"""Benchmark of opening a data set of trainval's size: the index against ``NuScenes(...)``.

Each method runs in a process of its own on the same synthetic tables. Time and memory are measured
on top of a process that has imported everything. Private memory (``RssAnon``) is needed once per
worker; mapped memory (``RssFile``) is the page cache of the index files, one copy for all
processes. Both are read from ``/proc`` on Linux.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import bev
from bev.errors import ConfigError
from bev.lab.benchmark.records import write_csv
from bev.lab.benchmark.synthetic_tables import SCENES, VERSION, write_tables

if TYPE_CHECKING:
    from bev.data.nuscenes.index import Index

_MB = 1e6
_FRAMES_READ = 1000


@dataclass(frozen=True)
class Row:
    """Cost of one method.

    Attributes:
        name: name of the method.
        seconds: time without imports, seconds.
        private: private memory at the end, without that of the imports, bytes.
        mapped: mapped memory at the end, without that of the imports, bytes.
        peak: maximum private memory over time, summed over all processes involved, bytes.
    """

    name: str
    seconds: float
    private: float
    mapped: float
    peak: float


def run(
    out: Path, scenes: int = SCENES, frames: int = 40, boxes: int = 35, sweeps: int = 0
) -> list[Row]:
    """Measure and print; write ``data_index.csv`` into ``out``.

    Args:
        out: output folder.
        scenes: number of scenes of the tables, at most 850.
        frames: key frames per scene.
        boxes: boxes per key frame.
        sweeps: sweeps of each sensor between two key frames.

    Raises:
        ConfigError: if there is no ``/proc`` to read memory usage from.
    """
    if not Path("/proc/self/status").is_file():
        raise ConfigError("This benchmark reads memory from /proc; run it on Linux.")
    with tempfile.TemporaryDirectory() as folder:
        root = write_tables(Path(folder) / "root", scenes, frames, boxes, sweeps)
        size = sum(path.stat().st_size for path in (root / VERSION).iterdir())
        print(
            f"{scenes} scenes, {scenes * frames} key frames, {scenes * frames * boxes} boxes,"
            f" {size / _MB:.0f} MB of tables",
            flush=True,
        )
        rows = [measure(method, root) for method in _METHODS]
    print(table(rows))
    write_csv(rows, out / "data_index.csv")
    return rows


def table(rows: list[Row]) -> str:
    """Human-readable table of the rows, with ratios to the devkit."""
    lines = [f"{'':26} {'time':>11} {'private':>10} {'mapped':>10} {'peak':>10}"]
    for row in rows:
        sizes = "".join(f" {value / _MB:7.1f} MB" for value in (row.private, row.mapped, row.peak))
        lines.append(f"{_NAMES[row.name]:26} {row.seconds:9.4f} s{sizes}")
    by_name = {row.name: row for row in rows}
    devkit, opened, read = (by_name[name] for name in ("devkit", "open", "read"))
    lines.append(
        f"opening: {devkit.seconds / opened.seconds:.0f} times as fast; memory of a worker:"
        f" 1/{devkit.private / max(read.private, 1):.0f}, or"
        f" 1/{devkit.private / (read.private + read.mapped):.0f} with all mapped pages included"
    )
    return "\n".join(lines)


def measure(method: str, root: Path) -> Row:
    """Run one of the methods in a process of its own."""
    path = os.pathsep.join([str(Path(bev.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", "bev.lab.benchmark.index", method, str(root)],
        env={**os.environ, "PYTHONPATH": path, "BEV_CACHE": str(root.parent / "cache")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None and process.stdout is not None  # both are pipes
        before = int(process.stdout.readline())
        process.stdin.write("go\n")
        process.stdin.flush()
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(_memory(pid)[0] for pid in family(process.pid)))
            time.sleep(0.02)
        if process.returncode:
            raise RuntimeError(f"Measuring {method!r} failed; see the output above.")
        measured = json.loads(process.stdout.readline())
    return Row(method, **measured, peak=max(peak - before, measured["private"]))


def _devkit(root: Path) -> object:
    from nuscenes import NuScenes

    return NuScenes(VERSION, str(root), verbose=False)


def _open(root: Path) -> "Index":
    from bev.data.nuscenes.index_cache import open_index

    return open_index(root, VERSION)


def _read(root: Path) -> object:
    from bev.data.nuscenes.frames import read_frames

    frames = read_frames(_open(root), "train")
    step = max(len(frames) // _FRAMES_READ, 1)
    for index in range(0, len(frames), step):
        frames[index]
    return frames


_METHODS: dict[str, Callable[[Path], object]] = {
    "devkit": _devkit,
    "build": _open,
    "open": _open,
    "read": _read,
}
_NAMES = {
    "devkit": "NuScenes(...)",
    "build": "index built and opened",
    "open": "index opened",
    "read": f"  and {_FRAMES_READ} frames read",
}


def _memory(pid: int | str = "self") -> tuple[int, int]:
    """(private, mapped) memory of a process, bytes; zeros if it has ended."""
    sizes = {"RssAnon": 0, "RssFile": 0}
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name in sizes:
            sizes[name] = int(value.split()[0]) * 1024
    return sizes["RssAnon"], sizes["RssFile"]


def family(root: int) -> set[int]:
    """Ids of a process and all its descendants."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    members, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in members} - members
        members, grown = members | more, bool(more)
    return members


def main() -> None:
    """Measured process: import, report memory, wait for input, run the method, print results."""
    import nuscenes.nuscenes  # noqa: F401

    import bev.data.dataset  # noqa: F401

    method, root = sys.argv[1:]
    before = _memory()
    print(before[0], flush=True)
    sys.stdin.readline()
    begin = time.perf_counter()
    result = _METHODS[method](Path(root))  # kept alive until its memory is read
    seconds = time.perf_counter() - begin
    private, mapped = (now - then for now, then in zip(_memory(), before, strict=True))
    print(json.dumps({"seconds": seconds, "private": private, "mapped": mapped}))
    del result


if __name__ == "__main__":
    main()
