"""The three shortest uses in docs/examples run on a folder of images."""

import csv
import runpy

import pytest
from commands import ROOT
from rig_folder import write_folder

import bev
import bev.inference
from bev import load_detector


@pytest.fixture
def use(single, temporal, synthetic_world, tmp_path, monkeypatch, capsys):
    """Function that runs an example with small models in a folder of two frames."""
    models = {"synthetic": single, "synthetic-temporal": temporal}
    loaded = {name: load_detector(path, "cpu") for name, path in models.items()}
    data = loaded["synthetic"].config.data
    frames = data.source.open(data).frames("synthetic_val")
    write_folder(tmp_path, [frames[0], frames[1]])
    monkeypatch.setattr(bev.inference, "load_detector", loaded.__getitem__)
    monkeypatch.chdir(tmp_path)

    def run(name):
        runpy.run_path(str(ROOT / "docs" / "examples" / f"{name}.py"))
        return capsys.readouterr().out

    return run


def test_a_folder(use):
    out = use("detect_folder")
    assert [line.split()[0] for line in out.splitlines()] == ["0000", "0001"]


def test_a_batch_of_arrays(use):
    out = use("detect_arrays")
    assert out.count("Detections(") == 2


def test_a_stream(use, tmp_path):
    with (tmp_path / "poses.csv").open() as poses, (tmp_path / "times.csv").open() as times:
        rows = [a | b for a, b in zip(csv.DictReader(poses), csv.DictReader(times), strict=True)]
    for row in rows:
        row["seconds"] = int(row["microseconds"]) * 1e-6
    with (tmp_path / "poses.csv").open("w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert len(use("detect_stream").splitlines()) == 2
