"""How well maps of the BEV overlap the truth: intersection over union, summed over a whole split.

The rule is Lift-Splat-Shoot's (Philion and Fidler 2020): cells with a logit above 0 count as told,
and the cells of all samples go into one intersection and one union. Sums are kept by sample, so
that processes and batches add up, and a bootstrap can draw samples.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bev.data.batch import Batch
from bev.data.nuscenes.classes import VEHICLE
from bev.files import replacing
from bev.geometry import Outlines
from bev.models import Detector
from bev.models.detector import Prediction
from bev.models.heads.segmentation import SegmentationHead

SEGMENTATION = "segmentation.json"
MEAN = "mIoU"
RULE = (
    "IoU: cells whose logit is above 0 against cells whose centre lies inside an area; intersection"
    " and union summed over all samples. IoU_vehicle takes every annotated vehicle as truth;"
    " IoU_vehicle_visible leaves out those of nuScenes visibility 1 (0-40 %), whose cells count as"
    " background."
)
_VISIBLE = 2  # the nuScenes level from which a box is seen to more than 40 %


@dataclass(frozen=True)
class Overlaps:
    """Intersections and unions, by sample; those of parts add up.

    Attributes:
        names: of R figures, such as "IoU_vehicle".
        averaged: those of them that ``mIoU`` is the mean of, one a layer: of vehicles the one with
            the truth that was trained on.
        samples: by sample token, (R, 2) cells in the intersection and in the union.
    """

    names: tuple[str, ...] = ()
    averaged: tuple[str, ...] = ()
    samples: dict[str, np.ndarray] = field(default_factory=dict)

    def __add__(self, other: "Overlaps") -> "Overlaps":
        known = self if self.names else other
        return Overlaps(known.names, known.averaged, self.samples | other.samples)

    def scalars(self) -> dict[str, float]:
        """Each figure and ``mIoU``, for a logger; empty where nothing was segmented.

        0 where nothing is there and nothing is told.
        """
        if not self.names:
            return {}
        return self._figures(sum(self.samples.values()))

    def scores(self, tokens: Sequence[str], weights: np.ndarray) -> dict[str, float]:
        """The figures of a data set that holds sample s ``weights[s]`` times."""
        counts = np.stack([self.samples[token] for token in tokens])
        return self._figures(np.einsum("s,src->rc", weights, counts))

    def _figures(self, cells: np.ndarray) -> dict[str, float]:
        ratios = cells[:, 0] / np.maximum(cells[:, 1], 1)
        found = dict(zip(self.names, ratios.tolist(), strict=True))
        return {MEAN: float(np.mean([found[name] for name in self.averaged])), **found}

    def write(self, folder: Path) -> Path:
        """Write ``segmentation.json`` into an evaluation's folder, which is made where needed."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "figures": self.scalars(),
            "rule": RULE,
            "names": self.names,
            "averaged": self.averaged,
            "samples": {token: cells.tolist() for token, cells in self.samples.items()},
        }
        with replacing(folder / SEGMENTATION) as partial:
            partial.write_text(json.dumps(content))
        return folder / SEGMENTATION

    @classmethod
    def read(cls, folder: Path) -> "Overlaps":
        """What an evaluation left in its folder; nothing where it segmented nothing."""
        path = folder / SEGMENTATION
        if not path.is_file():
            return cls()
        content = json.loads(path.read_bytes())
        samples = {token: np.array(cells) for token, cells in content["samples"].items()}
        return cls(tuple(content["names"]), tuple(content["averaged"]), samples)


def overlaps(
    model: Detector, prediction: Prediction, batch: Batch, layers: Sequence[str]
) -> Overlaps:
    """Of a batch's maps; nothing where the model tells none.

    Args:
        layers: whose truth the batch carries; others are not compared.

    Raises:
        DataError: where the model tells some and the batch carries no outlines.
    """
    if prediction.segmentation is None:
        return Overlaps()
    maps, head = prediction.segmentation, model.segmentation
    return compare_maps(maps, batch.outlines, head, batch.tokens, layers)


@torch.no_grad()
def compare_maps(
    logits: Float[Tensor, "B K Y X"],
    outlines: Sequence[Outlines],
    head: SegmentationHead,
    tokens: Sequence[str],
    layers: Sequence[str],
) -> Overlaps:
    """Cells that are told against cells that are covered.

    Args:
        logits: a cell is told where they are above 0.
        outlines: all that there is in each sample, BEV frame.
        head: gives the layers, the grid, and which vehicles were trained on.
        tokens: of the samples.
        layers: those of the head's that are compared.
    """
    told = logits > 0
    truths = {level: head.truth(outlines, level) for level in (0, _VISIBLE)}
    names, averaged, cells = [], [], []
    for number, layer in enumerate(head.config.layers):
        if layer not in layers:
            continue
        figures = {f"IoU_{layer}": 0}
        if layer == VEHICLE:
            figures[f"IoU_{layer}_visible"] = _VISIBLE
        averaged.append(list(figures)[-1 if head.config.least_visibility > 1 else 0])
        for name, level in figures.items():
            here, there = told[:, number], truths[level][:, number]
            names.append(name)
            cells.append(torch.stack([here & there, here | there], dim=1).sum((2, 3)))
    if not names:
        return Overlaps()
    counts = torch.stack(cells, dim=1).cpu().numpy()
    return Overlaps(tuple(names), tuple(averaged), dict(zip(tokens, counts, strict=True)))
