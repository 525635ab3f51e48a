"""``ablate.py`` with a finished, an interrupted and a failing run, and its table."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from commands import ROOT, SMALL, call

from bev.config import load_file, save_config
from bev.evaluation.nuscenes.official import read_metrics
from bev.lab.ablation.study import Run, expand, read_study
from bev.training.record import RunRecord
from bev.training.run import train

STUDY = """
from lss_synthetic import config as base

from bev.lab.ablation import Study

study = Study(base, {"shallow": "", "deep": "--model.encoder.blocks 2"})
"""
BROKEN = 'study.variants["broken"] = "--model.backbone.name nonesuch"\n'


class Ablated(NamedTuple):
    """Runs of a study, the command's arguments, and its outputs."""

    runs: list[Run]
    arguments: list[str]
    out: str
    error: str


@pytest.fixture(scope="module")
def ablated(synthetic_world, tmp_path_factory) -> Ablated:
    """Three runs: one finished, one interrupted after its first epoch, one that fails at its start.

    The study starts the last two, each in a separate process.
    """
    folder = tmp_path_factory.mktemp("study")
    base = ROOT / "configs" / "lss_synthetic.py"
    (folder / base.name).write_text(
        f"from bev.config import load_file\nconfig = load_file({str(base)!r})\n"
    )
    study = folder / "mine.py"
    study.write_text(STUDY + BROKEN)
    overrides = [
        *SMALL, "--data.root", str(synthetic_world), "--data.batch-size", "2",
        "--train.epochs", "2",
        "--train.max-steps", "-1", "--train.devices", "1", "--model.no-flip-tta",
        "--train.validate-every", "1",
    ]  # fmt: skip
    runs = expand(read_study(study), overrides=overrides, runs=folder / "runs")
    whole, cut, _ = runs
    train(whole.config)
    train(replace(cut.config, train=replace(cut.config.train, max_steps=4)))
    save_config(cut.config, cut.folder / "config.yaml")
    (cut.folder / "run.json").unlink()
    arguments = [str(study), "--runs", str(folder / "runs"), "--replicates", "20", *overrides]
    return Ablated(runs, arguments, *call("ablate.py", *arguments, code=1))


@pytest.mark.slow
def test_a_failing_run_does_not_stop_the_others(ablated):
    runs, _, out, error = ablated
    assert [r.finished for r in runs] == [True, True, False]
    last = error.strip().splitlines()[-1]
    assert last == "error: 1 of 3 runs failed: broken_seed0; see their logs."
    assert "`broken_seed0`: error: Backbone 'nonesuch' is not a model of timm" in out
    assert str(runs[2].log) in out and runs[2].log.is_file()


@pytest.mark.slow
def test_an_interrupted_run_is_resumed(ablated):
    whole, cut, _ = ablated.runs
    assert f"finished before: {whole.name}" in ablated.out
    assert f"resumes: {cut.name}" in ablated.out and "starts: broken_seed0" in ablated.out
    # The resumed part trained only the second epoch; the record counts both epochs.
    assert (cut.folder / "config_before_resume_1.yaml").exists()
    history = (cut.folder / "evaluation" / "history.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in history]
    assert steps == [4, 8] and RunRecord.read(cut.folder).steps == 8
    assert RunRecord.read(whole.folder).steps == 8


@pytest.mark.slow
def test_the_table_shows_the_official_figures(ablated):
    folder = ablated.runs[0].study
    with (folder / "table.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["variant"] for row in rows] == ["shallow", "deep", "broken"]
    scores = []
    for row, made in zip(rows[:2], ablated.runs[:2], strict=True):
        figures = read_metrics(made.folder / "evaluation" / "synthetic_val").scores().figures
        assert {name: float(row[name]) for name in figures} == pytest.approx(figures, abs=1e-12)
        parameters = sum(p.numel() for p in made.config.model.build().parameters())
        assert float(row["M params"]) == pytest.approx(parameters / 1e6)
        assert float(row["GFLOPs"]) > 0 and float(row["GiB"]) > 0.01 and float(row["minutes"]) > 0
        scores.append(figures)
    assert float(rows[1]["GFLOPs"]) > float(rows[0]["GFLOPs"])
    gain = scores[1]["NDS"] - scores[0]["NDS"]
    assert float(rows[1]["Δ NDS"]) == pytest.approx(gain, abs=1e-12)
    assert float(rows[1]["Δ NDS low"]) <= float(rows[1]["Δ NDS high"])
    assert rows[2]["mAP"] == "" and rows[2]["finished"] == "0"
    assert (folder / "table.md").read_text() in ablated.out + "\n"
    assert (folder / "plot.png").stat().st_size > 0 and (folder / "table.tex").is_file()


@pytest.mark.slow
def test_a_second_call_skips_finished_runs(ablated):
    study = Path(ablated.arguments[0])
    study.write_text(STUDY)
    out, _ = call("ablate.py", *ablated.arguments, "--resample", "scenes")
    assert out.count("finished before") == 2 and "starts" not in out and "resumes" not in out
    assert "bootstrap over scenes" in out


@pytest.mark.slow
def test_a_saved_config_trains_again_under_its_own_name(ablated):
    """The config.yaml of a run is a config file; a finished run is not trained again."""
    plan = ablated.runs[0].plan
    assert load_file(plan) == ablated.runs[0].config
    before = (ablated.runs[0].folder / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    out, _ = call("train.py", plan, "--resume", "auto")
    assert f"the run in {ablated.runs[0].folder} is finished" in out
    assert (ablated.runs[0].folder / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before


def test_a_missing_study_is_reported_in_one_sentence():
    _, error = call("ablate.py", "--vary", "train.lr=1", code=1)
    assert error.startswith("error: Name a config or a study first") and error.count("\n") == 1
