"""Prediction of a split without a trainer."""

from contextlib import suppress
from dataclasses import replace

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from bev.data.batch import Batch, Views
from bev.data.dataset import KeyFrames
from bev.evaluation.evaluation import Evaluation
from bev.machine import rank
from bev.models import Detector, FeatureCache


@torch.no_grad()
def predict(
    model: Detector, loader: DataLoader, device: torch.device, blank: bool = False
) -> Evaluation:
    """Predict every sample of a loader in float32, and accumulate the results for evaluation.

    Stops early if the evaluation of every head has failed.

    Args:
        model: detector in evaluation mode, on ``device``.
        loader: loader over ``KeyFrames``.
        device: device of the model.
        blank: replace the images by uniform grey, to measure what the model predicts from priors
            alone.
    """
    if not isinstance(loader.dataset, KeyFrames):
        raise TypeError(f"The loader is over a {type(loader.dataset).__name__}, not KeyFrames.")
    # Frames come in order of time, so the image features of a frame serve the next frames too.
    num_adjacent, data = model.config.temporal.num_adjacent, loader.dataset.config
    keep = num_adjacent and data.missing_cameras == "error"
    cache = FeatureCache((loader.batch_size or 1) + 8 * num_adjacent) if keep else None
    evaluation = Evaluation(model.config, data)
    for batch in tqdm(loader, desc="predict", unit="batch", disable=rank() > 0):
        batch = batch.to(device)
        if blank:
            batch = blanked(batch)
        prediction = model.predict(batch, cache)
        with suppress(Exception):  # raised by compute(), after the other heads are scored
            evaluation.update(prediction, batch)
        if not evaluation.going:
            break
    return evaluation


def blanked(batch: Batch) -> Batch:
    """Replace the images of a batch by uniform grey, including those of adjacent frames."""

    def grey(views: Views) -> Views:
        return replace(views, images=torch.full_like(views.images, 114))

    return batch.map_views(grey)
