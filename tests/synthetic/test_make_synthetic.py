"""The command line of the made world."""

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools" / "make_synthetic.py"


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, TOOL, *arguments], capture_output=True, text=True)


def test_makes_a_world_and_prints_statistics(tmp_path):
    root = tmp_path / "world"
    wanted = (str(root), "--scenes", "1", "--frames", "2", "--workers", "1", "--stats")
    done = run(*wanted)
    assert done.returncode == 0, done.stderr
    assert "counted boxes per frame" in done.stdout and str(root) in done.stdout
    other = run(str(root), "--scenes", "2")
    assert other.returncode == 1
    assert "train_scenes" in other.stderr and "Traceback" not in other.stderr
