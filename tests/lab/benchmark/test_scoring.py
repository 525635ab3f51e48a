"""The benchmark of scoring: made results, its table, and what it refuses."""

import json
import sys

import pytest

from bev.data.nuscenes.index_cache import open_index
from bev.errors import ConfigError
from bev.evaluation.nuscenes.official import evaluate_submission
from bev.evaluation.scores import DETAILS, SUMMARY
from bev.lab.benchmark.scoring import compare
from bev.lab.benchmark.scoring.compare import Row, made, table


def test_made_results_are_those_of_a_mediocre_detector(tmp_path):
    place = made(tmp_path / "root", samples=7, boxes=60)
    results = json.loads(place.results.read_text())["results"]
    assert [len(rows) for rows in results.values()] == 7 * [60]
    index = open_index(place.root, place.version)
    assert 0.1 < evaluate_submission(place.results, index, place.split, tmp_path).mean_ap < 0.8


def test_the_table_has_medians_and_ratios():
    rows = [Row(name, seconds, 1e6 * seconds) for seconds in (1.0, 2.0, 9.0)
            for name in ("devkit", "first", "bevlab")]  # fmt: skip
    lines = table([*rows[:-1], Row("bevlab", 1.0, 4e6)]).splitlines()
    assert lines[1].split()[-6:] == ["2.00", "s", "2", "MB", "1.00x", "1.00x"]
    assert lines[3].split()[-6:] == ["1.00", "s", "2", "MB", "2.00x", "1.00x"]


def test_different_metrics_are_a_fault(tmp_path):
    for folder, value in (("a", 0.5), ("b", 0.5 + 1e-17), ("c", 0.5 + 1e-15)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / SUMMARY).write_text(json.dumps({"mAP": value, "eval_time": folder}))
        (tmp_path / folder / DETAILS).write_text("{}")
    compare.compare(tmp_path / "a", tmp_path / "b")
    with pytest.raises(ConfigError, match=f"different {SUMMARY}"):
        compare.compare(tmp_path / "a", tmp_path / "c")


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs wait4")
def test_scoring_takes_less_than_the_devkit(tmp_path, capsys):
    rows = compare.run(tmp_path, None, samples=20, boxes=40, rounds=1)
    assert "equal to the last digit" in capsys.readouterr().out
    memory = {row.name: row.memory for row in rows}
    assert max(memory["bevlab"], memory["first"]) < 0.7 * memory["devkit"]
    assert (tmp_path / "scoring.csv").read_text().count("\n") == 4
