"""Pictures that a training draws: callbacks that a command passes to it."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from bev.config import Experiment
from bev.visualization.prediction import draw_samples

if TYPE_CHECKING:
    from bev.training.tensorboard.callback import SamplePictures

_CAMERA_WIDTH = 400  # pixels; a picture is drawn at every validation, and shown in a column


def sample_pictures(config: Experiment) -> "Sequence[SamplePictures]":
    """Callbacks that draw the samples of ``train.tensorboard`` at each validation."""
    settings = config.train.tensorboard
    if not (settings.events and settings.pictures):
        return []
    from bev.training.tensorboard.callback import SamplePictures

    draw = partial(draw_samples, config=config, count=settings.pictures, camera_width=_CAMERA_WIDTH)
    return [SamplePictures(draw)]
