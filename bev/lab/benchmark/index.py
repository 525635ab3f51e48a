"""Opening a data set of trainval's size: the index against ``NuScenes(...)``, time and memory.

The idea: each way runs in a process of its own on the same made tables, and only what it adds to a
process that has imported everything counts. Private memory is what each worker pays for itself
(``RssAnon``); mapped memory (``RssFile``) is the system's cache of the index's files, one copy for
all processes. Linux tells both in ``/proc``.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import bev
from bev.errors import ConfigError
from bev.lab.benchmark.records import write_csv
from bev.lab.benchmark.synthetic_tables import SCENES, VERSION, write_tables

_MB = 1e6
_FRAMES_READ = 1000


@dataclass(frozen=True)
class Row:
    """What one way costs.

    Attributes:
        name: what was done.
        seconds: time, without imports.
        private, mapped: memory at the end, bytes, above what the imports took.
        peak: most private memory at any time, bytes, of all processes that took part.
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
        scenes, frames, boxes, sweeps: of the made tables, see ``write_tables``.

    Raises:
        ConfigError: where there is no ``/proc`` to measure memory by.
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
        rows = [measure(way, root) for way in _WAYS]
    print(table(rows))
    write_csv(rows, out / "data_index.csv")
    return rows


def table(rows: list[Row]) -> str:
    """The rows for people, and the ratios to the first, which is the devkit's."""
    lines = [f"{'':26} {'time':>11} {'private':>10} {'mapped':>10} {'peak':>10}"]
    for row in rows:
        sizes = "".join(f" {value / _MB:7.1f} MB" for value in (row.private, row.mapped, row.peak))
        lines.append(f"{_NAMES[row.name]:26} {row.seconds:9.4f} s{sizes}")
    found = {row.name: row for row in rows}
    devkit, opened, read = (found[name] for name in ("devkit", "open", "read"))
    lines.append(
        f"opening: {devkit.seconds / opened.seconds:.0f} times as fast; a worker's memory: 1 in"
        f" {devkit.private / max(read.private, 1):.0f}, with every mapped page counted as its own"
        f" 1 in {devkit.private / (read.private + read.mapped):.0f}"
    )
    return "\n".join(lines)


def measure(way: str, root: Path) -> Row:
    """Run one of the ways in a process of its own."""
    path = os.pathsep.join([str(Path(bev.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", "bev.lab.benchmark.index", way, str(root)],
        env={**os.environ, "PYTHONPATH": path, "BEV_CACHE": str(root.parent / "cache")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        before = int(process.stdout.readline())
        process.stdin.write("go\n")
        process.stdin.flush()
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(_memory(pid)[0] for pid in family(process.pid)))
            time.sleep(0.02)
        if process.returncode:
            raise RuntimeError(f"Measuring {way!r} failed; see above.")
        found = json.loads(process.stdout.readline())
    return Row(way, **found, peak=max(peak - before, found["private"]))


def _devkit(root: Path) -> object:
    from nuscenes import NuScenes

    return NuScenes(VERSION, str(root), verbose=False)


def _open(root: Path) -> object:
    from bev.data.nuscenes.index_cache import open_index

    return open_index(root, VERSION)


def _read(root: Path) -> object:
    from bev.data.nuscenes.frames import read_frames

    frames = read_frames(_open(root), "train")
    step = max(len(frames) // _FRAMES_READ, 1)
    for index in range(0, len(frames), step):
        frames[index]
    return frames


_WAYS = {"devkit": _devkit, "build": _open, "open": _open, "read": _read}
_NAMES = {
    "devkit": "NuScenes(...)",
    "build": "index built and opened",
    "open": "index opened",
    "read": f"  and {_FRAMES_READ} frames read",
}


def _memory(pid: int | str = "self") -> tuple[int, int]:
    """(private, mapped) bytes of a process; zeros where it has ended."""
    found = {"RssAnon": 0, "RssFile": 0}
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name in found:
            found[name] = int(value.split()[0]) * 1024
    return found["RssAnon"], found["RssFile"]


def family(root: int) -> set[int]:
    """A process and all its descendants."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    found, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found, grown = found | more, bool(more)
    return found


def main() -> None:
    """What a measured process does: import, say so, wait, work, report."""
    import nuscenes.nuscenes  # noqa: F401

    import bev.data.dataset  # noqa: F401

    way, root = sys.argv[1:]
    before = _memory()
    print(before[0], flush=True)
    sys.stdin.readline()
    begin = time.perf_counter()
    kept = _WAYS[way](Path(root))
    seconds = time.perf_counter() - begin
    private, mapped = (now - then for now, then in zip(_memory(), before, strict=True))
    print(json.dumps({"seconds": seconds, "private": private, "mapped": mapped}))
    del kept


if __name__ == "__main__":
    main()
