"""CPU time and memory of ``bevlab evaluate RESULTS.json`` and of the devkit's own command.

Each command runs whole, in a process of its own, alternating with the other, as a user starts it:
CPU seconds are those of the process and of its children, memory is the largest resident size among
them. The devkit draws nothing here, neither examples nor curves; bevlab writes its report page.
Both must write the same metrics.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import bev
from bev.errors import ConfigError
from bev.evaluation.scores import DETAILS, SUMMARY
from bev.lab.benchmark.records import Place, write_csv
from bev.lab.benchmark.scoring.made_results import write_results
from bev.lab.benchmark.synthetic_tables import VERSION, write_tables

# A process counts the memory of the process that it was forked from, so a small one starts it.
_LAUNCHER = """
import json, os, sys
silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
command = [sys.executable, *sys.argv[1:]]
process = os.posix_spawn(sys.executable, command, os.environ, file_actions=silent)
_, status, used = os.wait4(process, 0)
seconds = used.ru_utime + used.ru_stime
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, used.ru_maxrss]))
"""
_MB = 1e6
_SCENES = 150  # of the split val
_NAMES = {
    "devkit": "nuscenes.eval.detection.evaluate",
    "first": "bevlab evaluate, index not built",
    "bevlab": "bevlab evaluate",
}


@dataclass(frozen=True)
class Row:
    """Cost of one run of a command.

    Attributes:
        name: name of the command.
        seconds: CPU time of the whole command, user and system.
        memory: largest resident size, bytes.
    """

    name: str
    seconds: float
    memory: float


def run(out: Path, place: Place | None, samples: int, boxes: int, rounds: int) -> list[Row]:
    """Measure and print; write ``scoring.csv`` into ``out``.

    Args:
        out: output folder.
        place: what to score; None for made tables and detections.
        samples: samples of the made tables.
        boxes: detections in each of them.
        rounds: runs of each command.

    Raises:
        ConfigError: if the system does not report the resources of a process, or the commands
            write different metrics.
    """
    if not sys.platform.startswith("linux"):  # elsewhere ru_maxrss has another unit
        raise ConfigError("This benchmark reads the resources of a process; run it on Linux.")
    with tempfile.TemporaryDirectory() as folder:
        place = place or made(Path(folder) / "root", samples, boxes)
        size = place.results.stat().st_size / _MB
        print(f"{place.results.name}, {size:.1f} MB, split {place.split}", flush=True)
        rows = []
        for number in range(rounds):
            rows += [measure(name, place, Path(folder), number) for name in _NAMES]
        compare(Path(folder) / "devkit", Path(folder) / "bevlab")
    print(table(rows))
    write_csv(rows, out / "scoring.csv")
    return rows


def made(root: Path, samples: int, boxes: int) -> Place:
    """Write tables of the split val and detections in them."""
    scenes = min(_SCENES, samples)
    frames, longer = divmod(samples, scenes)
    write_tables(root, scenes, frames, split="val", longer=longer)
    results = write_results(root.parent / "results_nusc.json", root, boxes)
    return Place(results, root, VERSION, "val")


def measure(name: str, place: Place, folder: Path, number: int) -> Row:
    """Run one of the commands."""
    cache = folder / ("cache" if name == "bevlab" else f"cache-{number}")
    ours = [
        *("-m", "bev.cli", "evaluate", place.results, "--out", folder / "bevlab"),
        *("--data.root", place.root, "--data.version", place.version, "--split", place.split),
    ]
    devkit = [
        *("-m", "nuscenes.eval.detection.evaluate", place.results),
        *("--output_dir", folder / "devkit", "--eval_set", place.split),
        *("--dataroot", place.root, "--version", place.version),
        *("--plot_examples", "0", "--render_curves", "0", "--verbose", "0"),
    ]
    if name == "bevlab" and not number:  # builds the index, which later runs open
        _run(ours, cache)
    return Row(name, *_run(devkit if name == "devkit" else ours, cache))


def _run(arguments: Sequence[object], cache: Path) -> tuple[float, float]:
    """CPU seconds and largest resident size (bytes) of a Python process."""
    path = os.pathsep.join([str(Path(bev.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-S", "-c", _LAUNCHER, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "BEV_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        check=True,
    )
    status, seconds, kilobytes = json.loads(done.stdout)
    if status:
        raise RuntimeError(f"{' '.join(map(str, arguments))} failed; see the output above.")
    return seconds, kilobytes * 1024


def compare(first: Path, second: Path) -> None:
    """Check that two folders contain the same metrics and details, to the last digit.

    Raises:
        ConfigError: names a file that differs.
    """
    for name in (SUMMARY, DETAILS):
        contents = [json.loads((folder / name).read_bytes()) for folder in (first, second)]
        for content in contents:
            content.pop("eval_time", None)
        texts = [json.dumps(content, sort_keys=True) for content in contents]  # NaN equals NaN
        if texts[0] != texts[1]:
            raise ConfigError(f"The commands write different {name}; this is a fault of bevlab.")


def table(rows: Sequence[Row]) -> str:
    """Human-readable table of the medians, with ratios to the devkit."""
    lines = [f"{'':36}{'CPU':>10}{'memory':>12}{'ratio':>16}"]
    medians = {
        name: (
            median(row.seconds for row in rows if row.name == name),
            median(row.memory for row in rows if row.name == name),
        )
        for name in _NAMES
    }
    for name, (seconds, memory) in medians.items():
        ratios = medians["devkit"][0] / seconds, medians["devkit"][1] / memory
        lines.append(
            f"{_NAMES[name]:36}{seconds:8.2f} s{memory / _MB:9.0f} MB"
            + "".join(f"{ratio:9.2f}x" for ratio in ratios)
        )
    lines.append("metrics_summary.json and metrics_details.json are equal to the last digit")
    return "\n".join(lines)
