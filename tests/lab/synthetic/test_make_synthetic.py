"""The command line of the synthetic world."""

import pytest
from commands import call, run


@pytest.mark.slow
def test_makes_a_world_and_prints_statistics(tmp_path):
    root = tmp_path / "world"
    wanted = ("--scenes", "1", "--frames", "2", "--workers", "1", "--stats")
    out, _ = run("make_synthetic.py", root, *wanted)
    assert "counted boxes per frame" in out and str(root) in out
    _, error = call("make_synthetic.py", root, "--scenes", "2", code=1)
    assert "train_scenes" in error and "Traceback" not in error
