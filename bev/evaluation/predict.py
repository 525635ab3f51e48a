"""Run a detector over a split and score it with the official metrics."""

import dataclasses
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from bev.data.dataset import DataConfig
from bev.evaluation.official import Metrics, evaluate_submission
from bev.evaluation.submission import submission_rows, write_submission
from bev.models import Detector


@torch.no_grad()
def predict(
    model: Detector, loader: DataLoader, device: torch.device, blank: bool = False
) -> dict[str, list[dict]]:
    """Submission rows by sample token, for every sample of a loader, computed in float32.

    Args:
        model: in evaluation mode, on ``device``.
        loader: of ``Batch``.
        blank: show the model uniform grey images, to measure what it knows without seeing.
    """
    rows = {}
    for batch in tqdm(loader, desc="predict", unit="batch"):
        batch = batch.to(device)
        if blank:
            batch = dataclasses.replace(batch, images=torch.full_like(batch.images, 114))
        for token, boxes, pose in zip(
            batch.tokens, model.detect(batch), batch.global_from_ego, strict=True
        ):
            rows[token] = submission_rows(token, boxes, pose)
    return rows


def score(rows: dict[str, list[dict]], data: DataConfig, split: str, folder: Path) -> Metrics:
    """Write the submission into a folder and run the official evaluation there."""
    path = write_submission(folder / "results_nusc.json", rows)
    return evaluate_submission(path, data.open(), split, folder)
