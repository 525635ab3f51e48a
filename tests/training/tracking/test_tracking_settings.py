"""Settings of trackers, and what is said if their packages are missing."""

import importlib
import sys
from dataclasses import replace

import pytest

from bev.config import Experiment, load_config
from bev.errors import ConfigError
from bev.training.run import train
from bev.training.settings import TrackingConfig
from bev.training.tracking.packages import check_trackers
from bev.training.tracking.tracker import Tracker


def test_nothing_is_tracked_or_sent_unless_asked(monkeypatch):
    monkeypatch.setattr(importlib, "import_module", None)  # no package is looked for
    config = Experiment().train.tracking
    assert config.loggers == () and not config.online
    check_trackers(config)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loggers": ("wandb", "wandb")}, "names a tracker twice"),
        ({"loggers": ("wandb",), "server": "http://here"}, "http://here, to which nothing is sent"),
        ({"online": True}, "has nothing to send; set --train.tracking.loggers"),
        ({"loggers": ("mlflow",), "online": True}, "to no server; set --train.tracking.server"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        TrackingConfig(**settings)


def test_of_two_trackers_the_server_is_that_of_mlflow():
    for loggers, servers in [
        (("wandb", "mlflow"), ["", "http://here"]),
        (("wandb",), ["http://here", "http://here"]),
    ]:
        config = TrackingConfig(loggers, online=True, server="http://here")
        assert [config.server_of(kind) for kind in ("wandb", "mlflow")] == servers


def test_trackers_are_chosen_by_flags():
    config = load_config("lss_r50", ["--train.tracking.loggers", "wandb", "mlflow"])
    assert config.train.tracking == TrackingConfig(("wandb", "mlflow"))


@pytest.mark.parametrize("package", ["wandb", "mlflow"])
def test_a_missing_package_names_the_extra_before_the_run(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    config = Experiment()
    tracking = TrackingConfig((package,))
    config = replace(config, train=replace(config.train, tracking=tracking, runs=tmp_path))
    with pytest.raises(ConfigError) as caught:
        train(config)
    assert str(caught.value) == (
        f"train.tracking.loggers has {package}, which needs the package {package}; install it with"
        " pip install 'bevlab[tracking]'."
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["run", "a/run"])
def test_a_run_in_folders_of_its_own_is_tracked_beside_the_others(name, tmp_path):
    runs = tmp_path / "runs"
    tracker = Tracker("mlflow", TrackingConfig(("mlflow",)), runs / "study" / name, runs)
    assert (tracker.runs, tracker.experiment, tracker.title) == (runs, "study", name)
    moved = Tracker("mlflow", TrackingConfig(("mlflow",)), tmp_path / "old" / "study" / "run", runs)
    assert (moved.runs, moved.experiment, moved.title) == (tmp_path / "old", "study", "run")
