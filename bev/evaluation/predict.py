"""Run a detector over a split."""

from dataclasses import replace

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from bev.data.batch import Batch, Views
from bev.evaluation.result import Measures, measure
from bev.evaluation.submission import submission_rows
from bev.models import Detector, FeatureCache


@torch.no_grad()
def predict(
    model: Detector, loader: DataLoader, device: torch.device, blank: bool = False
) -> tuple[dict[str, list[dict]], Measures]:
    """Submission rows by sample token and what else is measured, of every sample of a loader.

    Computed in float32. Depth is measured where the samples carry lidar, and of the areas that the
    model tells those that the samples carry.

    Args:
        model: in evaluation mode, on ``device``.
        loader: of ``KeyFrames``.
        blank: show the model uniform grey images, to measure what it knows without seeing.
    """
    rows, measures = {}, Measures()
    # In the order of time, what was the present is the past of the next frames.
    times, data = model.config.temporal.frames, loader.dataset.config
    keep = times and data.missing_cameras == "error"
    cache = FeatureCache(loader.batch_size + 8 * times) if keep else None
    for batch in tqdm(loader, desc="predict", unit="batch"):
        batch = batch.to(device)
        if blank:
            batch = blanked(batch)
        found = model.predict(batch, cache)
        measures += measure(model, found, batch, data.outlines.layers)
        for token, own, pose in zip(batch.tokens, found.boxes, batch.global_from_ego, strict=True):
            rows[token] = submission_rows(token, own, pose)
    return rows, measures


def blanked(batch: Batch) -> Batch:
    """The batch with uniform grey images, those of adjacent frames too."""

    def grey(views: Views) -> Views:
        return replace(views, images=torch.full_like(views.images, 114))

    return batch.map_views(grey)
