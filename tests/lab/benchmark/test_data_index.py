"""Sizes of the synthetic tables, and a small comparison of our index with the devkit."""

import sys

import pytest
from nuscenes import NuScenes

from bev.lab.benchmark import index
from bev.lab.benchmark.synthetic_tables import VERSION, write_tables


def test_synthetic_tables_have_the_size_asked_for(tmp_path):
    root = write_tables(tmp_path / "root", scenes=3, frames=4, boxes=5, sweeps=2)
    nusc = NuScenes(VERSION, str(root), verbose=False)
    assert len(nusc.scene) == 3 and len(nusc.sample) == 12 and len(nusc.sample_annotation) == 60
    assert len(nusc.sample_data) == 3 * 7 * (4 + 3 * 2)
    assert all(len(row["data"]) == 7 and len(row["anns"]) == 5 for row in nusc.sample)
    again = write_tables(tmp_path / "again", scenes=3, frames=4, boxes=5, sweeps=2)
    for path in (root / VERSION).iterdir():
        assert path.read_bytes() == (again / VERSION / path.name).read_bytes()


reads_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.mark.slow
@reads_proc
def test_opening_takes_less_memory_than_the_devkit(tmp_path):
    """At half a hundredth of trainval's size; all of it, and the time, by tools/benchmark.py."""
    root = write_tables(tmp_path / "root", scenes=4, frames=40, boxes=35, sweeps=0)
    devkit, _, opened = (index.measure(method, root) for method in ("devkit", "build", "open"))
    assert devkit.seconds > 0 and opened.seconds > 0
    assert opened.private < devkit.private / 20
    read = index.Row("read", 1.0, opened.private, 0.0, opened.private)
    assert "times as fast" in index.table([devkit, opened, read])


@pytest.mark.slow
@reads_proc
def test_all_methods_are_measured_printed_and_written(tmp_path, capsys):
    rows = {row.name: row for row in index.run(tmp_path, scenes=9)}
    printed = capsys.readouterr().out
    assert "9 scenes, 360 key frames, 12600 boxes" in printed and "times as fast" in printed
    assert all(row.seconds > 0 for row in rows.values())
    assert rows["open"].private < rows["devkit"].private / 20
    assert (tmp_path / "data_index.csv").read_text().count("\n") == 5
