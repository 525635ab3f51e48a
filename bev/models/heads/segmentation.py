"""BEV segmentation: logits that the centre of a cell lies inside a polygon of each layer.

After Philion and Fidler, Lift, Splat, Shoot (2020), section 4: every layer is a separate binary
segmentation, since layers overlap. Ground truth is rasterised from the polygons of the batch, on
the device.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from bev.bounds import Natural, NonNegative, Positive, check_clashes
from bev.data.batch import Batch
from bev.data.labels import LabelSpace
from bev.errors import DataError, TrainingError
from bev.geometry import BevGrid, Polygons, covered
from bev.models.flip_tta import averaged_logits
from bev.models.heads.base import Features, FeatureSpec, Head, HeadConfig, Note
from bev.models.layers import conv_bn_relu

if TYPE_CHECKING:
    from bev.data.settings import DataConfig
    from bev.models.detector import DetectorConfig


@dataclass(frozen=True)
class SegmentationHeadConfig(HeadConfig):
    """Settings of :class:`SegmentationHead`.

    Attributes:
        layers: predicted layers of the label space; empty for no segmentation.
        hidden: channels of a hidden 3x3 convolution; 0 for logits directly from the features, as
            published.
        loss: "bce", or "focal" (Lin et al. 2017) with alpha 0.25 and gamma 2; mean over all cells.
        positive_weight: weight of covered cells in "bce"; 2.13 as published by Lift-Splat-Shoot.
        weight: weight of the loss of each layer, in the order of ``layers``; a single weight
            applies to all.
        min_visibility: minimum nuScenes visibility level of ground-truth boxes of known visibility:
            1 for all boxes, 2 for boxes that are more than 40 % visible. Evaluation reports both.
        opencv_figures: evaluate layers of boxes also against polygons filled by OpenCV, as
            published by Lift-Splat-Shoot; these figures are named ``..._opencv``.
    """

    layers: tuple[str, ...] = ()
    hidden: Natural = 0
    loss: Literal["bce", "focal"] = "bce"
    positive_weight: Positive = 2.13
    weight: tuple[NonNegative, ...] = (1.0,)
    min_visibility: int = 1
    opencv_figures: bool = False

    def __post_init__(self) -> None:
        check_clashes(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about weights and levels that cannot be used."""
        if len(self.weight) not in (1, len(self.layers)):
            yield (
                f"model.segmentation.weight has {len(self.weight)} numbers for {len(self.layers)}"
                " layers; set one weight per layer, or one for all."
            )
        if self.min_visibility not in (1, 2):
            yield (
                f"model.segmentation.min_visibility is {self.min_visibility}; set 1 for all"
                " vehicles, or 2 for vehicles that are more than 40 % visible."
            )

    @property
    def active(self) -> bool:
        return bool(self.layers)

    def check_data(self, model: "DetectorConfig", data: "DataConfig") -> None:
        """Check that the data contain polygons of all layers that cover the grid.

        Raises:
            TrainingError: if they do not.
        """
        self.check_layers(data.source.labels)
        missing = [name for name in self.layers if name not in data.polygons.layers]
        if missing:
            raise TrainingError(
                f"The model segments {', '.join(self.layers)}, but the data contain no"
                f" {', '.join(missing)}; set --data.polygons.layers {' '.join(self.layers)}."
            )
        grid, scale = model.grid, data.bev_augmentation.scale[0]
        needed = max(map(abs, (*grid.x[:2], *grid.y[:2]))) * 2**0.5 / scale
        layers = (one for one in data.source.labels.layers if one.name in data.polygons.layers)
        if any(one.of_map for one in layers) and data.polygons.reach < needed:
            raise TrainingError(
                "Map polygons must cover the grid at any rotation: set --data.polygons.reach to at"
                f" least {needed:.0f} metres, not {data.polygons.reach:g}."
            )

    def check_layers(self, labels: LabelSpace) -> None:
        """Check the layers against a label space.

        Raises:
            ConfigError: if a layer is unknown or named twice.
        """
        labels.check("model.segmentation.layers", self.layers, labels.layer_names)

    def build(self, spec: FeatureSpec) -> "SegmentationHead":
        """Build the head.

        Raises:
            ConfigError: if a layer is unknown or named twice.
        """
        self.check_layers(spec.labels)
        return SegmentationHead(self, spec)

    def ground_truth(
        self,
        polygons: Sequence[Polygons],
        grid: BevGrid,
        labels: LabelSpace,
        min_visibility: int = 0,
    ) -> Bool[Tensor, "B K Y X"]:
        """Ground-truth mask of the cells covered by each of the K layers.

        Args:
            polygons: polygons of each sample, BEV frame.
            grid: BEV grid.
            labels: label space of the polygons.
            min_visibility: polygons of a known visibility level below this are ignored; 0 for all
                polygons.

        Raises:
            DataError: if the batch has no polygons.
        """
        if not polygons:
            raise DataError(
                "BEV segmentation needs polygons, but the batch has none; set"
                f" --data.polygons.layers {' '.join(self.layers)}."
            )
        numbers = [labels.layer_names.index(name) for name in self.layers]
        return covered(polygons, numbers, grid, min_visibility)


class SegmentationHead(Head):
    """BEV features to logits (B, K, Y, X), one map per layer."""

    def __init__(self, config: SegmentationHeadConfig, spec: FeatureSpec) -> None:
        super().__init__()
        self.config, self.grid, self.space = config, spec.grid, spec.labels
        hidden = [conv_bn_relu(spec.channels, config.hidden)] if config.hidden else []
        outputs = nn.Conv2d(config.hidden or spec.channels, len(config.layers), 1)
        self.layers = nn.Sequential(*hidden, outputs)

    def forward(self, features: Features) -> Float[Tensor, "B K Y X"]:
        """Compute the logits; features coarser than the grid are upsampled to it first."""
        bev = features.bev
        size = self.grid.shape[1:]
        if bev.shape[-2:] != size:
            bev = F.interpolate(bev, size=size, mode="bilinear", align_corners=False)
        return self.layers(bev)

    def loss(self, output: Float[Tensor, "B K Y X"], batch: Batch) -> dict[str, Tensor]:
        """Weighted loss of each layer, such as ``bev_vehicle``, float32; see ``ground_truth``."""
        config = self.config
        target = config.ground_truth(batch.polygons, self.grid, self.space, config.min_visibility)
        logits, target = output, target.float()
        with torch.autocast(logits.device.type, enabled=False):
            if config.loss == "focal":
                from torchvision.ops import sigmoid_focal_loss  # seconds to import

                cells = sigmoid_focal_loss(logits.float(), target)
            else:
                positive = torch.tensor(config.positive_weight, device=logits.device)
                cells = F.binary_cross_entropy_with_logits(
                    logits.float(), target, pos_weight=positive, reduction="none"
                )
            means = cells.mean(dim=(0, 2, 3))
        weights = config.weight * (len(config.layers) // len(config.weight))
        return {
            f"bev_{name}": weight * mean
            for name, weight, mean in zip(config.layers, weights, means, strict=True)
        }

    def averaged(
        self, output: Float[Tensor, "B K Y X"], flipped: Float[Tensor, "B K Y X"]
    ) -> Float[Tensor, "B K Y X"]:
        return averaged_logits(output, flipped.flip(2))

    def adapted(
        self, name: str, state: Mapping[str, Tensor], saved: Mapping[str, Any]
    ) -> tuple[dict[str, Tensor], list[Note]]:
        """Drop the tensors of the last convolution if the layers differ."""
        settings = saved.get(name)
        layers = settings.get("layers") if isinstance(settings, Mapping) else None
        if layers is None or layers == list(self.config.layers):
            return dict(state), []
        last = f"{name}.layers.{len(self.layers) - 1}."
        reset = re.compile(rf"(^|\.){re.escape(last)}")
        kept = {key: value for key, value in state.items() if not reset.search(key)}
        if len(kept) == len(state):
            return kept, []
        text = f"the model predicts {list(self.config.layers)} and the file {layers}"
        return kept, [Note(("",), f"{last}* not loaded: {text}")]
