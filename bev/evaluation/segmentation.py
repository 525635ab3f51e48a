"""Intersection over union (IoU) of BEV segmentation layers.

After Philion and Fidler, Lift, Splat, Shoot (2020), section 5: the IoU of predicted and
ground-truth cells over all cells of all samples.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bev.data.batch import Batch
from bev.data.images.filling import filled
from bev.data.settings import DataConfig
from bev.data.source import Frames
from bev.errors import NoGroundTruthError
from bev.evaluation.base import EvaluatedSplit, evaluator
from bev.evaluation.sample_sums import SampleSums
from bev.evaluation.scores import Scores
from bev.models import DetectorConfig, SegmentationHeadConfig

MEAN = "mIoU"
RULE = (
    "IoU: cells whose logit is above 0 against cells whose centre lies inside a polygon;"
    " intersection and union summed over all samples. For layers of boxes (vehicles), the ground"
    " truth of IoU is every annotated box; IoU_..._visible leaves out boxes of visibility 1"
    " (0-40 %), whose cells count as background."
)
OPENCV_RULE = (
    " IoU_..._opencv: ground truth of Lift-Splat-Shoot's code, whose corners are rounded to cells"
    " and whose polygons are filled by OpenCV, border cells included; figures published for it"
    " compare with these."
)
_VISIBLE = 2  # lowest nuScenes visibility level above 40 %


@evaluator.register(SegmentationHeadConfig)
class SegmentationSums(SampleSums):
    """Intersections and unions of the layers that have ground truth in the data.

    Layers of boxes have two figures: of all boxes, and of boxes with visibility above 40 %.
    ``mIoU`` is the mean over layers; for layers of boxes it uses the figure whose ground truth
    matches that of training. Layers without polygons in the data are not evaluated. Figures named
    ``..._opencv`` have the ground truth of Lift-Splat-Shoot's code (``config.opencv_figures``).
    """

    headlines, note = (MEAN,), RULE
    config: SegmentationHeadConfig

    def __init__(
        self, config: SegmentationHeadConfig, name: str, model: DetectorConfig, data: DataConfig
    ) -> None:
        super().__init__(config, name, model, data)
        self.rows: list[tuple[str, int, int]] = []  # figure, layer, min. visibility
        self.opencv: set[str] = set()  # figures whose ground truth OpenCV fills
        self.averaged: list[str] = []
        space = model.label_space
        for number, layer in enumerate(config.layers):
            if layer not in data.polygons.layers:
                continue
            rows = [(f"IoU_{layer}", number, 0)]
            of_boxes = space.layers[space.layer_names.index(layer)].of_boxes
            if of_boxes:
                rows.append((f"IoU_{layer}_visible", number, _VISIBLE))
            self.averaged.append(rows[-1 if config.min_visibility > 1 else 0][0])
            if of_boxes and config.opencv_figures:
                rows += [(f"{name}_opencv", number, level) for name, _, level in rows]
                self.opencv |= {name for name, _, _ in rows[2:]}
                self.note = RULE + OPENCV_RULE
            self.rows += rows

    @torch.no_grad()
    def measure(self, decoded: Float[Tensor, "B K Y X"], batch: Batch) -> Int[Tensor, "B R 2"]:
        """Count the cells in the intersection and in the union, for each figure."""
        if not self.rows:
            return torch.zeros(len(batch), 0, 2, dtype=torch.long)
        predicted = decoded > 0
        ground_truths = {
            (level, opencv): self._ground_truth(batch, level, opencv)
            for level, opencv in {(level, name in self.opencv) for name, _, level in self.rows}
        }
        cells = []
        for name, number, level in self.rows:
            one, gt = predicted[:, number], ground_truths[level, name in self.opencv][:, number]
            cells.append(torch.stack([one & gt, one | gt], dim=1).sum((2, 3)))
        return torch.stack(cells, dim=1)

    def _ground_truth(self, batch: Batch, level: int, opencv: bool) -> Bool[Tensor, "B K Y X"]:
        config, grid, space = self.config, self.model.grid, self.model.label_space
        if not opencv:
            return config.ground_truth(batch.polygons, grid, space, level)
        numbers = [space.layer_names.index(name) for name in config.layers]
        return filled(batch.polygons, numbers, grid, level).to(batch.bev_from_ego.device)

    def figures(self, sums: np.ndarray) -> dict[str, float]:
        """``mIoU`` and all other figures; 0 if no cell is predicted or in the ground truth."""
        if not self.rows:
            return {}
        ratios = sums[:, 0] / np.maximum(sums[:, 1], 1)
        found = {name: float(r) for (name, _, _), r in zip(self.rows, ratios, strict=True)}
        return {MEAN: float(np.mean([found[name] for name in self.averaged])), **found}

    def compute(self, split: EvaluatedSplit) -> Scores:
        """Compute the scores, see ``SampleSums``.

        Raises:
            NoGroundTruthError: if layers of boxes are evaluated and the split has no annotations.
        """
        if self._layers_of_boxes():
            self.check(split.frames(), split.name)
        return super().compute(split)

    def check(self, frames: Frames, split: str) -> None:
        layers = self._layers_of_boxes()
        if layers and not frames.annotated:
            raise NoGroundTruthError(
                f"Split {split!r} has no annotations, so {layers[0]}s cannot be scored; name a"
                " split with annotations."
            )

    def _layers_of_boxes(self) -> list[str]:
        """Names of the measured layers that are footprints of boxes."""
        layers = self.model.label_space.layers
        measured = {name for name, _, _ in self.rows}
        return [one.name for one in layers if one.of_boxes and f"IoU_{one.name}" in measured]
