"""Intersection over union of segmented areas.

After Philion and Fidler, Lift, Splat, Shoot (2020), section 5: over all cells of all samples,
intersection over union of predicted and covered cells.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bev.data.batch import Batch
from bev.data.settings import DataConfig
from bev.errors import DataError
from bev.evaluation.base import EvaluatedSplit, evaluator
from bev.evaluation.sample_sums import SampleSums
from bev.evaluation.scores import Scores
from bev.models import DetectorConfig, SegmentationHeadConfig

MEAN = "mIoU"
RULE = (
    "IoU: cells whose logit is above 0 against cells whose centre lies inside an area; intersection"
    " and union summed over all samples. Of areas of boxes (vehicles) IoU takes every annotated"
    " box as ground truth; IoU_..._visible leaves out those of visibility 1 (0-40 %), whose cells"
    " count as background."
)
_VISIBLE = 2  # the nuScenes level from which a box is seen to more than 40 %


@evaluator.register(SegmentationHeadConfig)
class SegmentationSums(SampleSums):
    """Intersections and unions of the layers whose ground truth the data bring.

    Layers of boxes have two figures: of all, and of those visible to more than 40 %. ``mIoU`` is
    the mean over layers, of these the one with the ground truth that was trained on.
    Layers whose areas do not come with the data are not compared.
    """

    headlines, note = (MEAN,), RULE

    def __init__(
        self, config: SegmentationHeadConfig, name: str, model: DetectorConfig, data: DataConfig
    ) -> None:
        super().__init__(config, name, model, data)
        self.rows: list[tuple[str, int, int]] = []  # figure, layer, least visibility
        self.averaged: list[str] = []
        for number, layer in enumerate(config.layers):
            if layer not in data.polygons.layers:
                continue
            rows = [(f"IoU_{layer}", number, 0)]
            if model.labels.layers[model.labels.layer_names.index(layer)].of_boxes:
                rows.append((f"IoU_{layer}_visible", number, _VISIBLE))
            self.averaged.append(rows[-1 if config.min_visibility > 1 else 0][0])
            self.rows += rows

    @torch.no_grad()
    def measure(self, decoded: Float[Tensor, "B K Y X"], batch: Batch) -> Int[Tensor, "B R 2"]:
        """Cells in the intersection and in the union, of each figure."""
        if not self.rows:
            return torch.zeros(len(batch), 0, 2, dtype=torch.long)
        predicted = decoded > 0
        ground_truths = {
            level: self.config.ground_truth(
                batch.polygons, self.model.grid, self.model.labels, level
            )
            for level in {level for _, _, level in self.rows}
        }
        cells = []
        for _, number, level in self.rows:
            here, there = predicted[:, number], ground_truths[level][:, number]
            cells.append(torch.stack([here & there, here | there], dim=1).sum((2, 3)))
        return torch.stack(cells, dim=1)

    def figures(self, sums: np.ndarray) -> dict[str, float]:
        """``mIoU`` and each figure; 0 where nothing is there and nothing is predicted."""
        if not self.rows:
            return {}
        ratios = sums[:, 0] / np.maximum(sums[:, 1], 1)
        found = {name: float(r) for (name, _, _), r in zip(self.rows, ratios, strict=True)}
        return {MEAN: float(np.mean([found[name] for name in self.averaged])), **found}

    def compute(self, split: EvaluatedSplit) -> Scores:
        """See ``SampleSums``.

        Raises:
            DataError: where areas of boxes were measured and the data have no annotations.
        """
        for layer in self.model.labels.layers:
            measured = any(name == f"IoU_{layer.name}" for name, _, _ in self.rows)
            if layer.of_boxes and measured and not split.source.annotated:
                raise DataError(
                    f"The data in {split.source.data.root} have no annotations, so {layer.name}s"
                    f" cannot be scored on split {split.name!r}."
                )
        return super().compute(split)
