"""Predictions and ground truth in any label space, for which no metric is trivial."""

from dataclasses import replace

import numpy as np
import torch

from bev.data.labels import LabelSpace, ObjectClass
from bev.geometry import Boxes3D

PARK = LabelSpace(
    (
        ObjectClass("van"),
        ObjectClass("gate", heading="axis", moves=False),
        ObjectClass("post", heading="none", moves=False),
    )
)


def crowd(seed: int, labels: LabelSpace, samples: int = 8, ties: bool = False):
    """Random predictions and ground truth by sample, float64."""
    rng = np.random.default_rng(seed)
    predicted, gt_boxes = {}, {}
    for number in rng.permutation(samples):
        count = int(rng.integers(0, 25 if samples > 3 else 10))
        label = torch.from_numpy(rng.integers(0, len(labels.classes), count))
        own = [[-1, *map(labels.attributes.index, k.attributes)] for k in labels.classes]
        attribute = torch.tensor([rng.choice(own[kind]) for kind in label.tolist()], dtype=int)
        velocity = rng.normal(0, 3, (count, 2))
        velocity[rng.random(count) < 0.2] = np.nan
        real = Boxes3D.make(
            torch.from_numpy(rng.uniform(-20, 20, (count, 3))),
            torch.from_numpy(rng.uniform(1, 5, (count, 3))),
            torch.from_numpy(rng.uniform(-4, 4, count)),
            torch.from_numpy(velocity),
            label,
            attribute=attribute,
        )
        score = rng.integers(1, 9, count) / 10 if ties else rng.uniform(0.1, 1, count)
        prediction = replace(
            real,
            center=real.center + torch.from_numpy(rng.normal(0, 0.8, (count, 3))),
            size=real.size * torch.from_numpy(rng.uniform(0.7, 1.2, (count, 3))),
            yaw=real.yaw + torch.from_numpy(rng.normal(0, 1, count)),
            velocity=torch.from_numpy(rng.normal(0, 3, (count, 2))),
            score=torch.from_numpy(score),
            attribute=attribute[torch.from_numpy(rng.permutation(count))],
        )
        prediction = prediction[torch.from_numpy(rng.random(count) < 0.8)]
        predicted[f"sample {number}"], gt_boxes[f"sample {number}"] = prediction, real
    return predicted, gt_boxes


def official_keys(summary: dict) -> dict[str, float]:
    from devkit_metrics import flat  # beside the tests that use this

    keys = ("mean_ap", "mean_dist_aps", "label_aps", "tp_errors", "label_tp_errors")
    return flat({key: summary[key] for key in keys})
