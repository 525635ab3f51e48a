"""``search.py``: a search of three tiny trials, killed twice; its page; trials that fail."""

import json
import os
import signal
import time

import pytest
from commands import ROOT, SMALL, call
from isolated import run_forked, start_forked

pytest.importorskip("optuna")

SEARCH = """
from lss_synthetic import config as base

from bev.lab.search import Choice, Float, Int, Pruning, Search, Variants, When

search = Search(
    base,
    {
        "depth": Variants({"off": "--model.depth-supervision.weight 0", "on": ""}),
        "train.lr": Float(1e-4, 1e-2, log=True),
        "model.depth_supervision.weight": Float(0.3, 3, when=When("depth", ("on",))),
        "model.encoder.blocks": Int(1, 2),
    },
    trials=3,
    metric="depth_rmse",
    pruning=Pruning("median", startup=1),
)
"""
BROKEN = 'search.space["model.backbone.name"] = Choice(("nonesuch", "nothing"))\n'


def arguments(folder, world, *more):
    return [
        "--runs", str(folder / "runs"), *SMALL, "--data.root", str(world), "--data.batch-size", "4",
        "--data.workers", "0", "--data.cameras", "CAM_FRONT", "CAM_BACK", "--train.epochs", "2",
        "--train.max-steps", "-1", "--train.validate-every", "1", "--train.devices", "1",
        "--model.no-flip-tta", "--train.pictures", "0", "--train.tensorboard.no-events",
        "--train.save-minutes", "0", *more,
    ]  # fmt: skip


@pytest.mark.slow
def test_a_killed_search_goes_on_without_losing_a_trial(synthetic_world, tmp_path):
    """The worker is killed once by SIGKILL, within a trial, and stopped once by SIGTERM.

    The rest is trained two at a time.
    """
    file = tmp_path / "mine.py"
    file.write_text(SEARCH)
    options = arguments(tmp_path, synthetic_world)
    folder = tmp_path / "runs" / "mine"
    search = (ROOT / "tests" / "forked_search.py", file, *options)
    kept: dict[str, int] = {}
    for number, kind in [(1, signal.SIGKILL), (2, signal.SIGTERM)]:
        (output := tmp_path / kind.name).mkdir()
        worker = start_forked(output, *search)
        cut = folder / f"trial_{number:03d}_seed0"
        _wait_for(cut / "checkpoints" / "last.ckpt", worker, output)
        os.kill(worker.pid, kind)
        worker.join()
        kept |= {
            path.parent.name: path.stat().st_mtime_ns for path in folder.glob("trial_*/run.json")
        }
    assert len(kept) >= 1
    done = run_forked(*search, "--workers", "2")
    out = done.out
    assert done.code == 0, out[-2000:] + done.error[-3000:]
    runs = sorted(path.parent.name for path in folder.glob("trial_*/run.json"))
    assert runs == [f"trial_{number:03d}_seed0" for number in range(3)]
    for name, time_ in kept.items():
        assert (folder / name / "run.json").stat().st_mtime_ns == time_, name
    for number in (1, 2):  # the trials that were cut went on from their checkpoints
        cut = folder / f"trial_{number:03d}_seed0"
        assert list(cut.glob("metrics_before_resume_*.csv")), number
        steps = [json.loads(line)["step"] for line in _history(cut)]
        assert steps == sorted(set(steps))
    assert out.count("3 of 3 trials: ") == 1 and "best depth_rmse" in out
    content = _page(folder)["search"]
    assert len(content["trials"]) == 3 and content["best"] is not None
    assert {trial["state"] for trial in content["trials"]} <= {"complete", "pruned"}
    assert [trial["attempts"] for trial in content["trials"]] == [1, 2, 2]
    for trial in content["trials"]:
        history = [json.loads(line) for line in _history(folder / f"{trial['name']}_seed0")]
        assert trial["value"] == pytest.approx(history[-1]["depth_rmse"], rel=1e-4)
        assert ("model.depth_supervision.weight" in trial["values"]) == (
            trial["values"]["depth"] == "on"
        )
        assert (trial["state"] == "pruned") == (
            folder / f"{trial['name']}_seed0/pruned.json"
        ).exists()
    before = {path: path.stat().st_mtime_ns for path in folder.glob("trial_*/run.json")}
    call("search.py", file, *options)  # nothing is left to do; in this process, with type checks
    assert before == {path: path.stat().st_mtime_ns for path in folder.glob("trial_*/run.json")}


@pytest.mark.slow
def test_trials_that_all_fail_end_the_search_with_their_reason(
    synthetic_world, tmp_path, monkeypatch
):
    monkeypatch.setattr("bev.lab.search.worker._FIRST_FAILURES", 1)
    file = tmp_path / "broken.py"
    file.write_text(SEARCH + BROKEN)
    options = arguments(tmp_path, synthetic_world)
    out, error = call("search.py", file, *options, code=1)
    assert out.count("FAILED: ") == 1
    assert "trials of search broken all failed; the last one: Backbone 'no" in error
    content = _page(tmp_path / "runs" / "broken")["search"]
    reasons = [trial["reason"] for trial in content["trials"] if trial["state"] == "failed"]
    assert len(reasons) == 1
    assert all(reason.startswith("Backbone '") and "\n" not in reason for reason in reasons)


def test_a_missing_search_and_missing_data_are_reported_in_one_sentence(tmp_path):
    _, error = call("search.py", "--vary", "train.lr=1..2", code=1)
    assert error.startswith("error: Name a config or a search first") and error.count("\n") == 1
    vary = ["--vary", "train.max-grad-norm=1..2", "--runs", str(tmp_path)]
    config = ROOT / "configs" / "lss_synthetic.py"
    _, error = call("search.py", config, *vary, "--data.root", "no/where", code=1)
    assert error == (
        "error: The trials need data in no/where, which does not exist; set --data.root (bevlab"
        " make-synthetic generates a synthetic world).\n"
    )


def _wait_for(path, process, output) -> None:
    end = time.monotonic() + 600
    while not path.is_file():
        if not process.is_alive() or time.monotonic() > end:
            texts = [(output / name).read_text()[-3000:] for name in ("out", "error")]
            raise AssertionError(f"{path} was not written: {texts}")
        time.sleep(0.05)


def _history(run) -> list[str]:
    return (run / "evaluation" / "history.jsonl").read_text().splitlines()


def _page(folder) -> dict:
    text = (folder / "report.html").read_text(encoding="utf-8")
    start = text.index('id="summary">') + len('id="summary">')
    return json.loads(text[start : text.index("</script>", start)])
