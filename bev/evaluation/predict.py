"""Run a detector over a split and score it with the official metrics."""

import math
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from bev.data.batch import Batch
from bev.data.settings import DataConfig
from bev.evaluation.depth import DepthErrors, depth_errors
from bev.evaluation.official import Metrics, evaluate_submission
from bev.evaluation.submission import submission_rows, write_submission
from bev.models import Detector, FeatureCache


@torch.no_grad()
def predict(
    model: Detector, loader: DataLoader, device: torch.device, blank: bool = False
) -> tuple[dict[str, list[dict]], DepthErrors]:
    """Submission rows by sample token and the errors in depth, of every sample of a loader.

    Computed in float32. Depth is measured where the samples carry lidar.

    Args:
        model: in evaluation mode, on ``device``.
        loader: of ``KeyFrames``.
        blank: show the model uniform grey images, to measure what it knows without seeing.
    """
    rows, depth = {}, DepthErrors()
    # In the order of time, what was the present is the past of the next frames.
    times, data = model.config.temporal.frames, loader.dataset.config
    keep = times and data.missing_cameras == "error"
    cache = FeatureCache(loader.batch_size + 8 * times) if keep else None
    for batch in tqdm(loader, desc="predict", unit="batch"):
        batch = batch.to(device)
        if blank:
            batch = blanked(batch)
        boxes, output = model.predict(batch, cache)
        depth += depth_errors(model, output, batch)
        for token, own, pose in zip(batch.tokens, boxes, batch.global_from_ego, strict=True):
            rows[token] = submission_rows(token, own, pose)
    return rows, depth


def blanked(batch: Batch) -> Batch:
    """The batch with uniform grey images, those of adjacent frames too."""

    def grey(images: UInt8[Tensor, "B N 3 H W"]) -> UInt8[Tensor, "B N 3 H W"]:
        return torch.full_like(images, 114)

    adjacent = [replace(views, images=grey(views.images)) for views in batch.adjacent]
    return replace(batch, images=grey(batch.images), adjacent=adjacent)


def score(
    rows: dict[str, list[dict]],
    data: DataConfig,
    split: str,
    folder: Path,
    within: float = math.inf,
) -> Metrics:
    """Write the submission into a folder and run the official evaluation there.

    Args:
        within: see ``counted_boxes``.
    """
    path = write_submission(folder / "results_nusc.json", rows)
    return evaluate_submission(path, data.open(), split, folder, within)
