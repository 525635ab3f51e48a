"""The commands on a small data set: training, evaluation, pictures, export and resuming."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import NO_GPU, ROOT, SMALL, call, run


def arguments(synthetic_world, runs, devices):
    return (
        "train.py", ROOT / "configs" / "lss_synthetic.py", "--data.root", synthetic_world,
        "--train.runs", runs, "--train.run-name", "a", "--train.devices", str(devices), *SMALL,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(synthetic_world, tmp_path_factory) -> Path:
    """A shrunken lss_synthetic, trained from the command line."""
    runs = tmp_path_factory.mktemp("runs")
    out, _ = call(*arguments(synthetic_world, runs, 1))
    assert "synthetic_val after" in out and "NDS" in out
    return runs / "lss_synthetic" / "a"


@pytest.mark.slow
def test_training_on_two_processes_evaluates_every_sample_once(synthetic_world, tmp_path):
    """Depth metrics are sums over the processes: one process measures the same."""
    out, _ = run(*arguments(synthetic_world, tmp_path, 2), variables=NO_GPU)
    assert "synthetic_val after" in out and "NDS" in out
    folder = tmp_path / "lss_synthetic" / "a"
    results = folder / "evaluation" / "synthetic_val" / "results_nusc.json"
    assert len(json.loads(results.read_text())["results"]) == 4
    assert (folder / "report.html").exists()
    agrees_with_training(folder, tmp_path)


def test_a_run_has_results_and_a_page(trained):
    results = trained / "evaluation" / "synthetic_val" / "results_nusc.json"
    assert len(json.loads(results.read_text())["results"]) == 4
    assert (trained / "report.html").exists()


def agrees_with_training(trained, out_folder):
    """Evaluate the best checkpoint; its results and depth metrics are those of the training."""
    best = trained / "checkpoints" / "best.ckpt"
    out, _ = call("evaluate.py", best, "--out", out_folder, "--displacement", "1")
    again, first = (
        json.loads((folder / "results_nusc.json").read_text())["results"]
        for folder in (out_folder, trained / "evaluation" / "synthetic_val")
    )
    assert set(again) == set(first) and all(again.values())
    history = trained / "evaluation" / "history.jsonl"
    measured = json.loads(history.read_text().splitlines()[-1])
    for name in ("depth_abs_rel", "depth_rmse"):
        printed = re.search(rf"{name} +([0-9.]+)", out)
        assert float(printed[1]) == pytest.approx(measured[name], abs=1e-3)
    # The scores of a hardly trained network are nearly equal, so their order may change.
    for token, rows in again.items():
        scores, expected = (
            sorted((row["detection_score"] for row in some), reverse=True)[:20]
            for some in (rows, first[token])
        )
        assert scores == pytest.approx(expected, rel=1e-3)
    assert "written to" in out
    return out


def test_evaluation_from_a_checkpoint_agrees_with_training(trained, tmp_path):
    out = agrees_with_training(trained, tmp_path)
    # The results file alone gives the same metrics.
    file = (
        "evaluate.py", tmp_path / "results_nusc.json", "--out", tmp_path / "file",
        "--data.root", _root_of(trained), "--data.version", "v1.0-synthetic",
        "--split", "synthetic_val", "--displacement",
    )  # fmt: skip
    file_out, _ = call(*file, "1", "2")
    by_places = re.compile(r"AVE by (?:nearest )?places \d apart +\S+")
    assert by_places.findall(out) == by_places.findall(file_out)[:2]
    assert len(by_places.findall(file_out)) == 4
    _, error = call(*file, "1", "0", code=1)
    assert "--displacement is (1, 0); set it to values that are each at least 1." in error
    names = ("metrics_summary.json", "file/metrics_summary.json")
    whole, from_file = (json.loads((tmp_path / name).read_text()) for name in names)
    assert from_file["label_aps"] == whole["label_aps"]


@pytest.mark.long
def test_blank_images_and_a_choice_of_cameras_have_folders_of_their_own(trained):
    best = trained / "checkpoints" / "best.ckpt"
    blank, _ = call("evaluate.py", best, "--blank", "--split", "synthetic_train")
    assert "synthetic_train_best_blank" in blank
    call("evaluate.py", best, "--data.cameras", "CAM_FRONT")
    page = trained / "evaluation" / "synthetic_val_best_with_CAM_FRONT" / "report.html"
    assert "The cameras were CAM_FRONT; trained with 6." in page.read_text()


def test_pictures_of_predictions_and_of_the_calibration(trained, tmp_path):
    call("visualize.py", trained / "checkpoints" / "best.ckpt", "--out", tmp_path, "--samples", "2")
    call(
        "visualize.py", ROOT / "configs" / "lss_synthetic.py", "--data.root", _root_of(trained),
        "--check", "--samples", "1", "--out", tmp_path,
    )  # fmt: skip
    names = sorted(p.name for p in tmp_path.glob("*.png"))
    assert len(names) == 3 and sum("check" in name for name in names) == 1


def test_a_results_file_beside_a_checkpoint(trained, tmp_path):
    best = trained / "checkpoints" / "best.ckpt"
    results = trained / "evaluation" / "synthetic_val" / "results_nusc.json"
    options = ("--samples", "1", "--score", "0.2", "0.1", "--svg", "--out", tmp_path)
    call("visualize.py", best, results, *options)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".png", ".svg"]


def test_a_run_is_exported(trained, tmp_path):
    out, _ = call(
        "export.py", trained / "checkpoints" / "best.ckpt", "--out", tmp_path / "a.safetensors"
    )
    assert "a.safetensors is written" in out and (tmp_path / "a.safetensors").stat().st_size > 1e4


@pytest.mark.long
def test_resuming_from_the_command_line(trained):
    last = trained / "checkpoints" / "last.ckpt"
    arguments = [ROOT / "configs" / "lss_synthetic.py", "--data.root", _root_of(trained), *SMALL]
    more = (*arguments, "--train.epochs", "2", "--train.devices", "1")
    out, _ = call("train.py", *more, "--resume", last)
    assert str(trained) in out
    _, error = call("train.py", *arguments, "--model.neck.channels", "24", "--resume", last, code=1)
    assert "model.neck.channels was 16, now 24" in error
    assert error.count("\n") == 1  # one sentence, no traceback


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["configs/lss_r50.py", "--data.root", "nowhere"], "Data root nowhere does not exist"),
        (["configs/none.py"], "configs/none.py does not exist"),
        ([], "Name a config first"),
    ],
)
def test_bad_input_is_reported_in_one_sentence(arguments, message):
    _, error = call("train.py", *arguments, code=1)
    assert message in error and error.startswith("error: ") and error.count("\n") == 1


@pytest.mark.slow
def test_a_damaged_image_is_reported_in_one_sentence(synthetic_world, tmp_path):
    """The message is passed on from the dataloader worker."""
    import shutil

    root = tmp_path / "damaged"
    shutil.copytree(synthetic_world, root)
    for image in (root / "samples" / "CAM_BACK").iterdir():
        image.write_bytes(image.read_bytes()[:1000])
    _, error = run(
        "train.py", ROOT / "configs" / "lss_synthetic.py", "--data.root", root,
        "--train.runs", tmp_path, "--data.workers", "1", "--train.devices", "1", *SMALL, code=1,
    )  # fmt: skip
    last = error.strip().splitlines()[-1]
    assert last.startswith("error: Image ") and "CAM_BACK" in last and "truncated" in last


def test_the_error_for_an_unknown_flag_suggests_the_nearest():
    _, error = call("train.py", ROOT / "configs" / "lss_r50.py", "--train.max-step", "3", code=2)
    assert "--train.max-steps" in error


@pytest.mark.slow
def test_a_checkpoint_is_evaluated_and_drawn_on_its_fold(synthetic_world, tmp_path):
    """Train on a fold; evaluation and pictures then use that fold by default."""
    run(
        "train.py", ROOT / "configs" / "lss_synthetic.py", "--data.root", synthetic_world,
        "--train.runs", tmp_path, "--train.run-name", "f", "--train.devices", "1",
        "--data.fold", "2/3", "--data.sampling.by", "class", "--train.max-steps", "2", *SMALL,
    )  # fmt: skip
    folder = tmp_path / "lss_synthetic" / "f"
    best = folder / "checkpoints" / "best.ckpt"
    run("evaluate.py", best)
    run("visualize.py", best, "--samples", "1")
    for name in ("fold2of3", "fold2of3_best"):
        results = json.loads((folder / "evaluation" / name / "results_nusc.json").read_text())
        assert len(results["results"]) == 4
    assert len(list((folder / "pictures" / "fold2of3").glob("*.png"))) == 1


@pytest.mark.slow
def test_torchrun(synthetic_world, tmp_path):
    """Two processes started by torchrun share one run folder and one evaluation."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
        str(ROOT / "tools" / "train.py"), str(ROOT / "configs" / "lss_synthetic.py"),
        "--data.root", str(synthetic_world), "--train.runs", str(tmp_path), *SMALL,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode != 0 and "--train.run-name" in done.stderr
    command += ["--train.run-name", "both"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    results = tmp_path / "lss_synthetic/both/evaluation/synthetic_val/results_nusc.json"
    assert len(json.loads(results.read_text())["results"]) == 4


@pytest.mark.slow
def test_the_rehearsal_runs_without_data(tmp_path):
    """``python tools/train.py configs/lss_r50.py`` without a data set; about four minutes."""
    out, _ = run("train.py", ROOT / "configs" / "lss_r50.py", cwd=tmp_path)
    assert "REHEARSAL" in out and "This is NOT nuScenes" in out
    assert "bevlab train bevdepth_synthetic" in out and "samples a second" in out
    assert len(list((tmp_path / "runs/rehearsal/synthetic/pictures").glob("*.png"))) == 2
    assert list((tmp_path / "runs" / "rehearsal").rglob("report.html"))


def _root_of(run_folder: Path) -> str:
    for line in (run_folder / "config.yaml").read_text().splitlines():
        if line.strip().startswith("root:"):
            return line.split(":", 1)[1].strip()
    raise AssertionError("no root in config.yaml")
