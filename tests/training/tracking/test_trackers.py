"""W&B and MLflow offline: read back, each step once after a resumption, and no connection."""

import csv
import json
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from lightning import Callback

from bev.config import Experiment
from bev.training.record import last_checkpoint
from bev.training.run import train
from bev.training.settings import TrackingConfig
from bev.training.tracking.packages import check_trackers
from bev.training.tracking.tracker import MLFLOW_FILE, Tracker

# Not imported here: a run keeps the packages from reporting their use before it imports them.
LACKING = [name for name in ("wandb", "mlflow", "alembic") if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(LACKING), reason="needs the extra tracking")

BLOCK, HEADER = 32768, 7  # of the log format of LevelDB, in which W&B writes


class Crash(Callback):
    """Ends a run at a step."""

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if trainer.global_step == 7:
            raise RuntimeError("the power is out")


@pytest.fixture
def connections(monkeypatch) -> Iterator[list]:
    """Attempts to reach anything but this machine, of this process and of those that it starts.

    Other processes (W&B's service is one) are asked to use a proxy, which notes who comes.
    """
    seen: list = []
    server = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{server.getsockname()[1]}"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, address)
        monkeypatch.setenv(name.lower(), address)

    def accept():
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            seen.append(client.recv(300))
            client.close()

    threading.Thread(target=accept, daemon=True).start()
    connect = socket.socket.connect

    def guarded(own, address):
        if own.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "localhost", "::1"):
            seen.append(address)
            raise OSError("no network in this test")
        return connect(own, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    yield seen
    server.close()


@pytest.mark.slow
def test_a_resumed_run_is_one_run_with_each_step_once(quick: Experiment, connections, tmp_path):
    """The run crashes in step 7, after a checkpoint of step 4: steps 5 and 6 are trained twice."""
    tracking = TrackingConfig(("wandb", "mlflow"))
    config = replace(
        quick, train=replace(quick.train, tracking=tracking, runs=tmp_path, run_name="r")
    )
    with pytest.raises(RuntimeError, match="the power is out"):
        train(config, callbacks=[Crash()])
    folder = tmp_path / "quick" / "r"
    client, (first,) = _mlflow(tmp_path)
    assert first.info.status == "FAILED"
    longer = replace(config, train=replace(config.train, log_every=1, max_grad_norm=4.0))
    train(longer, last_checkpoint(folder))

    # Of steps that were trained twice, here with other settings, a tracker has the first figures.
    logged = _csv(folder / "metrics.csv") | _csv(folder / "metrics_before_resume_1.csv")
    steps = sorted(step for name, step in logged if name == "train/loss")
    assert steps == list(range(1, 9))
    client, (run,) = _mlflow(tmp_path)
    assert run.info.run_id == first.info.run_id and run.info.status == "FINISHED"
    assert (
        run.info.run_name == "r" and client.get_experiment(run.info.experiment_id).name == "quick"
    )
    assert run.data.params["train.max_grad_norm"] == "5.0"
    assert run.data.tags["resumed/train.max_grad_norm"] == "4.0"
    assert run.data.params["data.image_size"] == "[64, 176]"
    for name in ("train/loss", "lr-AdamW", "val/NDS", "gradients/total"):
        points = (
            client.get_metric_history(run.info.run_id, name) if name in run.data.metrics else []
        )
        expected = {step: value for (own, step), value in logged.items() if own == name}
        assert expected or name not in run.data.metrics, name
        assert [point.step for point in points] == sorted(expected)
        assert {p.step: p.value for p in points} == pytest.approx(expected, rel=1e-5)

    parts = sorted((folder / "wandb").glob("offline-run-*/*.wandb"))
    assert len(parts) == 2 and len({path.name for path in parts}) == 1
    rows = [row for path in parts for row in _wandb(path) if "train/loss" in row]
    assert [row["trainer/global_step"] for row in rows] == list(range(1, 9))
    losses = {step: value for (name, step), value in logged.items() if name == "train/loss"}
    assert {row["trainer/global_step"]: row["train/loss"] for row in rows} == pytest.approx(
        losses, rel=1e-5
    )
    assert connections == []


@pytest.mark.slow
def test_a_killed_run_goes_on_where_its_tracker_stood(connections, tmp_path):
    """Without an orderly end, and with an error of the tracker, which ends nothing but itself."""
    folder = tmp_path / "runs" / "name" / "r"
    folder.mkdir(parents=True)
    config = TrackingConfig(("mlflow",), project="mine")
    first = Tracker("mlflow", config, folder, tmp_path / "runs")
    first.begin({"train.lr": 0.1})
    for step in range(3):
        first.log_metrics({"loss": step, "bad": float("nan"), "epoch": 0}, step)
    second = Tracker("mlflow", config, folder, tmp_path / "runs")
    second.begin({"train.lr": 0.1})
    for step in range(1, 5):
        second.log_metrics({"loss": 10 + step, "new": step}, step)
    second.close()
    assert second.run == first.run
    client, (run,) = _mlflow(tmp_path / "runs", "mine")
    losses = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in losses] == [
        (1, 0),
        (2, 1),
        (3, 2),
        (4, 13),
        (5, 14),
    ]
    assert [p.step for p in client.get_metric_history(run.info.run_id, "new")] == [2, 3, 4, 5]
    assert set(run.data.metrics) == {"loss", "new"}
    assert connections == []


@pytest.mark.long
def test_runs_that_begin_at_one_time_share_an_experiment(tmp_path, monkeypatch, capsys):
    """As those of a study, one on each GPU: both find no experiment, and one creates it."""
    config = TrackingConfig(("mlflow",))
    check_trackers(config)
    from mlflow.tracking import MlflowClient

    folders = [tmp_path / "runs" / "study" / name for name in "ab"]
    for folder in folders:
        folder.mkdir(parents=True)
    one, two = (Tracker("mlflow", config, folder, tmp_path / "runs") for folder in folders)
    find, begun = MlflowClient.get_experiment_by_name, []

    def late(client, name):
        found = find(client, name)
        if not begun:
            begun.append(name)
            two.begin({})
        return found

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", late)
    one.begin({})
    assert {one.run, two.run} == {run.info.run_id for run in _mlflow(tmp_path / "runs", "study")[1]}
    assert one.run != two.run and "warning" not in capsys.readouterr().err


@pytest.mark.slow
def test_an_error_of_a_tracker_ends_nothing_but_itself(tmp_path, capsys):
    folder = tmp_path / "runs" / "name" / "r"
    (folder / "tracking").mkdir(parents=True)
    (folder / "tracking" / "mlflow.json").write_text("{")
    tracker = Tracker("mlflow", TrackingConfig(("mlflow",)), folder, folder.parents[1])
    tracker.begin({})
    tracker.log_metrics({"loss": 1.0}, 1)
    tracker.close()
    error = capsys.readouterr().err
    assert (
        error.startswith("warning: mlflow lacks this run from now on: ") and error.count("\n") == 1
    )
    assert "mlflow.json cannot be read" in error and "delete it" in error


def _mlflow(runs: Path, project: str = "quick"):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{runs / MLFLOW_FILE}")
    experiment = client.get_experiment_by_name(project)
    return client, client.search_runs([experiment.experiment_id])


def _csv(path: Path) -> dict[tuple[str, int], float]:
    """Values of a run's CSV by name and number of complete steps."""
    found = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for name, text in row.items():
                if text and name not in ("step", "epoch"):
                    found[name, int(row["step"]) + 1] = float(text)
    return found


def _wandb(path: Path) -> list[dict]:
    """Rows of the history in W&B's file: records of protobuf in LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, rows, joined = path.read_bytes(), HEADER, [], b""
    assert content[:4] == b":W&B"
    while place + HEADER <= len(content):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + HEADER])
        joined += content[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):  # whole, or the last part
            record = Record.FromString(joined)
            joined = b""
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                rows.append(
                    {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}
                )
    return rows
