"""Packages of the trackers, and how they are kept from the network."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from bev.errors import ConfigError
from bev.training.settings import TrackingConfig

# Set before the packages are imported: both report their use or their errors to their makers.
_QUIET = {
    "WANDB_ERROR_REPORTING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}
_PACKAGES = {"wandb": ("wandb",), "mlflow": ("mlflow", "sqlalchemy", "alembic")}


def check_trackers(config: TrackingConfig) -> None:
    """Check that the packages of the chosen trackers are installed.

    Raises:
        ConfigError: if one is not.
    """
    os.environ.update(_QUIET if config.loggers else {})
    for kind in config.loggers:
        for package in _PACKAGES[kind]:
            try:
                importlib.import_module(package)
            except ImportError as error:
                raise ConfigError(
                    f"train.tracking.loggers has {kind}, which needs the package {package}; install"
                    " it with pip install 'bevlab[tracking]'."
                ) from error


@contextmanager
def kept_environment(*names: str) -> Iterator[None]:
    """Context after which variables of the environment are what they were."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
