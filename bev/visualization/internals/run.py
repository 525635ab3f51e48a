"""Intermediate results of a detector for one sample, recorded by forward hooks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import nn

from bev.data.batch import Batch
from bev.data.frame import Frame
from bev.errors import ConfigError
from bev.models import Detector
from bev.models.detector import Prediction
from bev.models.view.base import BevFeatures, ViewTransform
from bev.models.view.dual_view import DualViewTransform
from bev.models.view.lift_splat import LiftSplat
from bev.visualization.colors import DARK, Theme


class Internals(NamedTuple):
    """Intermediate results of a detector for one sample.

    Attributes:
        prediction: decoded results and raw outputs.
        view_inputs: arguments of the view transform at the time of the sample.
        view: its output.
    """

    prediction: Prediction
    view_inputs: tuple[Any, ...]
    view: BevFeatures


@dataclass(frozen=True)
class Sample:
    """A detector and one sample whose internals are drawn; the network runs once for all pictures.

    Attributes:
        model: detector.
        frame: frame to draw.
        batch: batch of this frame alone, without augmentation, on the device of the model.
        camera_width: width of each image, pixels; three images are as wide as a row of maps.
        theme: colours.
    """

    model: Detector
    frame: Frame
    batch: Batch
    camera_width: int = 480
    theme: Theme = DARK

    @cached_property
    def internals(self) -> Internals:
        """Intermediate results of the network, see :func:`internals_of`."""
        return internals_of(self.model, self.batch)


def internals_of(model: Detector, batch: Batch) -> Internals:
    """Run a detector on one sample, without augmentation, and record its view transform.

    Raises:
        ConfigError: if the batch holds several samples.
    """
    inputs, prediction, output = first_call(model, model.view, batch)
    assert isinstance(output, BevFeatures)
    return Internals(prediction, inputs, output)


def first_call(
    model: Detector, module: nn.Module, batch: Batch
) -> tuple[tuple[Any, ...], Prediction, Any]:
    """Run a detector on one sample; returns a module's inputs, the prediction, and its output.

    A module that runs for several times of a temporal model, or also for a flipped batch, is
    recorded at its first call: at the time of the sample, not flipped. Its output is None if it is
    not called.

    Raises:
        ConfigError: if the batch holds several samples.
    """
    if len(batch) != 1:
        raise ConfigError(f"The batch holds {len(batch)} samples; draw one sample at a time.")
    calls: list[tuple[tuple[Any, ...], Any]] = []

    def record(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if not calls:
            calls.append((inputs, output))

    handle = module.register_forward_hook(record)
    try:
        with evaluating(model):
            prediction = model.predict(batch)
    finally:
        handle.remove()
    inputs, output = calls[0] if calls else ((), None)
    return inputs, prediction, output


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Context in which a model is in evaluation mode and computes no gradients."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def lift_of(view: ViewTransform) -> LiftSplat | None:
    """The lift-splat in a view transform; None if it has none."""
    if isinstance(view, DualViewTransform):
        return view.lift
    return view if isinstance(view, LiftSplat) else None
