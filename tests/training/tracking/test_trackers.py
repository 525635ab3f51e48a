"""MLflow offline: read back, each step once after a kill, and no connection."""

import socket
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from bev.training.settings import TrackingConfig
from bev.training.tracking.tracker import MLFLOW_FILE, Tracker

# Not imported here: a run keeps the packages from reporting their use before it imports them.
LACKING = [name for name in ("wandb", "mlflow", "alembic") if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(LACKING), reason="needs the extra tracking")


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
def test_a_killed_run_goes_on_where_its_tracker_stood(connections, tmp_path):
    """Without an orderly end, and with an error of the tracker, which ends nothing but itself."""
    folder = tmp_path / "runs" / "name" / "r"
    folder.mkdir(parents=True)
    config = TrackingConfig(("mlflow",), project="mine")
    first = Tracker("mlflow", config, folder)
    first.begin({"train.lr": 0.1})
    for step in range(3):
        first.log_metrics({"loss": step, "bad": float("nan"), "epoch": 0}, step)
    second = Tracker("mlflow", config, folder)
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


@pytest.mark.slow
def test_an_error_of_a_tracker_ends_nothing_but_itself(tmp_path, capsys):
    folder = tmp_path / "runs" / "name" / "r"
    (folder / "tracking").mkdir(parents=True)
    (folder / "tracking" / "mlflow.json").write_text("{")
    tracker = Tracker("mlflow", TrackingConfig(("mlflow",)), folder)
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
