"""Run a detector over a split, without a trainer."""

from dataclasses import replace

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from bev.data.batch import Batch, Views
from bev.evaluation.evaluation import Evaluation
from bev.models import Detector, FeatureCache


@torch.no_grad()
def predict(
    model: Detector, loader: DataLoader, device: torch.device, blank: bool = False
) -> Evaluation:
    """Predict every sample of a loader, in float32, and accumulate for an evaluation.

    Args:
        model: in evaluation mode, on ``device``.
        loader: of ``KeyFrames``.
        device: of the model.
        blank: give the model uniform grey images, to measure what it predicts from priors alone.
    """
    # In the order of time, what was the present is the past of the next frames.
    times, data = model.config.temporal.num_adjacent, loader.dataset.config
    keep = times and data.missing_cameras == "error"
    cache = FeatureCache(loader.batch_size + 8 * times) if keep else None
    evaluation = Evaluation(model.config, data)
    for batch in tqdm(loader, desc="predict", unit="batch"):
        batch = batch.to(device)
        if blank:
            batch = blanked(batch)
        evaluation.update(model.predict(batch, cache), batch)
    return evaluation


def blanked(batch: Batch) -> Batch:
    """The batch with uniform grey images, those of adjacent frames too."""

    def grey(views: Views) -> Views:
        return replace(views, images=torch.full_like(views.images, 114))

    return batch.map_views(grey)
