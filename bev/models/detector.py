"""The whole network: images of a camera ring in, 3D boxes and maps of the BEV out."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from bev.data.batch import Batch, Views
from bev.errors import ConfigError, DataError
from bev.geometry import BevGrid, Boxes3D
from bev.models.bev.encoder import BevEncoderConfig
from bev.models.bev.temporal import TemporalConfig
from bev.models.camera_mask import pack, unpack
from bev.models.feature_cache import FeatureCache
from bev.models.flip_tta import averaged, averaged_logits, check_mirrors, mirrored, mirrored_back
from bev.models.heads.center.head import CenterHeadConfig
from bev.models.heads.center.targets import GroupOutput
from bev.models.heads.image import ImageClassHead
from bev.models.heads.segmentation import SegmentationHeadConfig
from bev.models.image.backbone import BackboneConfig
from bev.models.image.neck import FpnConfig, NeckConfig
from bev.models.view.base import BevFeatures, ViewTransformConfig
from bev.models.view.depth_supervision import depth_loss, nearest_depth
from bev.models.view.lift_splat import LiftSplatConfig


@dataclass(frozen=True)
class DetectorConfig:
    """Settings of :class:`Detector`, part by part.

    Attributes:
        head: detects boxes; without class groups there is no detection.
        segmentation: tells areas of the BEV; without layers there is no segmentation.
        depth_weight: weight of the depth loss; above 0 training needs lidar files.
        depth_loss: "bce" as in BEVDepth, "ce" (cross-entropy over bins), or "focal" (the same,
            with the focal factor of exponent 2).
        image_weight: weight of an auxiliary class loss in image space, see ``ImageClassHead``.
        test_mirror: detect in the scene and in its mirror image, and average (twice the time).

    Raises:
        ConfigError: where depth is to be supervised that the view transform does not predict, and
            where there is neither detection nor segmentation.
    """

    backbone: BackboneConfig = BackboneConfig()
    neck: NeckConfig = FpnConfig()
    grid: BevGrid = BevGrid()
    view: ViewTransformConfig = LiftSplatConfig()
    temporal: TemporalConfig = TemporalConfig()
    encoder: BevEncoderConfig = BevEncoderConfig()
    head: CenterHeadConfig = CenterHeadConfig()
    segmentation: SegmentationHeadConfig = SegmentationHeadConfig()
    depth_weight: float = 0.0
    depth_loss: Literal["bce", "ce", "focal"] = "bce"
    image_weight: float = 0.0
    test_mirror: bool = False

    def __post_init__(self) -> None:
        if self.depth_weight > 0 and not self.view.predicts_depth:
            raise ConfigError(
                f"model.depth_weight = {self.depth_weight} supervises depth, and this view"
                " transform predicts none; set it to 0, or choose another view or depth net."
            )
        if not (self.detects or self.segments):
            raise ConfigError(
                "The model tells nothing: name classes in model.head.groups, or layers in"
                " model.segmentation.layers."
            )

    @property
    def detects(self) -> bool:
        """Whether it gives boxes."""
        return bool(self.head.groups)

    @property
    def segments(self) -> bool:
        """Whether it gives maps of the BEV."""
        return bool(self.segmentation.layers)

    def build(self) -> "Detector":
        """Build the detector; errors are those of its parts."""
        return Detector(self)


class DetectorOutput(NamedTuple):
    """What the network says.

    Attributes:
        groups: one for each class group of the head; none without detection.
        features: (B, N, C, h, w), the neck's; zero where a camera is absent.
        depth_logits: (B, N, h, w, D), likewise; None where the view transform predicts no depth.
        segmentation: (B, K, Y, X) logits, one map a layer; None without segmentation.
    """

    groups: list[GroupOutput]
    features: Float[Tensor, "B N C h w"]
    depth_logits: Float[Tensor, "B N h w D"] | None
    segmentation: Float[Tensor, "B K Y X"] | None


class Prediction(NamedTuple):
    """What inference gives.

    Attributes:
        boxes: of each sample, see :meth:`Detector.detect`.
        output: what the network says, of the scene as it is (also with ``test_mirror``).
        segmentation: (B, K, Y, X) logits, a cell counts where they are above 0; None without
            segmentation.
    """

    boxes: list[Boxes3D]
    output: DetectorOutput
    segmentation: Float[Tensor, "B K Y X"] | None


class Detector(nn.Module):
    """Backbone, neck, view transform, join of times, BEV encoder and heads.

    Raises (in use):
        DataError: where depth supervision is on and the batch carries no lidar, or where the batch
            carries other than ``temporal.frames`` adjacent frames.
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.view = config.view.build(self.neck.channels, self.neck.stride, config.grid)
        self.temporal = config.temporal.build(self.view.channels)
        self.encoder = config.encoder.build(self.temporal.channels)
        if config.detects:
            self.head = config.head.build(self.encoder.channels, config.grid)
        if config.segments:
            self.segmentation = config.segmentation.build(self.encoder.channels, config.grid)
        if config.test_mirror:
            check_mirrors(config.grid)
        if config.image_weight > 0:
            self.image_head = ImageClassHead(self.neck.channels)
        self.to(memory_format=torch.channels_last)

    def forward(self, batch: Batch, cache: FeatureCache | None = None) -> DetectorOutput:
        """What the network says of a batch; a cache spares images that were seen before."""
        if len(batch.adjacent) != self.config.temporal.frames:
            raise DataError(
                f"The batch carries {len(batch.adjacent)} adjacent frames and the model joins"
                f" {self.config.temporal.frames}: data.adjacent must fit model.temporal.frames."
            )
        # The sample's own time goes first: autocast keeps the weights that it casts, and those
        # cast without gradients would be reused with them.
        size = batch.image_size
        features, lifted = self._lift(batch.views, size, batch.bev_from_ego, cache)
        others = []
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.temporal.gradient):
            for views in batch.adjacent:
                with torch.autocast(features.device.type, enabled=False):
                    bev_from_adjacent = batch.bev_from_ego @ views.ego_from_adjacent
                others.append(self._lift(views, size, bev_from_adjacent, cache)[1].bev)
        bev = self.temporal(lifted.bev, others, [views.seconds for views in batch.adjacent])
        encoded = self.encoder(bev)
        return DetectorOutput(
            self.head(encoded) if self.config.detects else [],
            features,
            lifted.depth_logits,
            self.segmentation(encoded) if self.config.segments else None,
        )

    def _lift(
        self,
        views: Views,
        image_size: tuple[int, int],
        bev_from_ego: Float[Tensor, "B 4 4"],
        cache: FeatureCache | None,
    ) -> tuple[Float[Tensor, "B N C h w"], BevFeatures]:
        """Image features of one time, and the BEV features lifted from them.

        Args:
            image_size: (H, W), also where the cache keeps the features and the images are empty.
            bev_from_ego: the sample's BEV frame from the ego frame of the views' time.
        """
        if cache is None:
            features = self._image_features(views.images, views.present)
        else:
            features = cache.get(views, self._image_features)
        present = views.present
        return features, self.view(features, image_size, views.cameras, bev_from_ego, present)

    def _image_features(
        self, images: UInt8[Tensor, "B N 3 H W"], present: Bool[Tensor, "B N"] | None = None
    ) -> Float[Tensor, "B N C h w"]:
        return unpack(self.neck(self.backbone(pack(images, present))), present, len(images))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted loss terms; their sum is what training minimises."""
        output = self(batch)
        terms = self.head.loss(output.groups, batch.boxes) if self.config.detects else {}
        if self.config.segments:
            terms |= self.segmentation.loss(output.segmentation, batch.outlines)
        if self.config.depth_weight > 0:
            terms["depth"] = self.config.depth_weight * self._depth_loss(output, batch)
        if self.config.image_weight > 0:
            value = self.image_head.loss(
                output.features,
                batch.boxes,
                batch.views,
                batch.bev_from_ego,
                self.view.stride,
            )
            terms["image"] = self.config.image_weight * value
        return terms

    def _depth_loss(self, output: DetectorOutput, batch: Batch) -> Float[Tensor, ""]:
        if all(len(points) == 0 for points in batch.lidar):
            raise DataError(
                f"Depth supervision needs lidar points, and samples {list(batch.tokens)} carry"
                " none; set --data.lidar, or --model.depth-weight 0."
            )
        nearest = nearest_depth(
            batch.lidar,
            batch.views.cameras,
            batch.image_size,
            tuple(output.depth_logits.shape[2:4]),
            self.view.stride,
        )
        return depth_loss(
            output.depth_logits, nearest, self.config.view.depth, self.config.depth_loss
        )

    def detect(self, batch: Batch, cache: FeatureCache | None = None) -> list[Boxes3D]:
        """Boxes of each sample, best first, on the CPU; none without detection.

        In the BEV frame, which is the ego frame where the batch is not augmented.

        Args:
            batch: with images; those of adjacent frames may be empty where the cache keeps them.
            cache: of the stream of frames that the batch goes on from, for temporal models.
        """
        return self.predict(batch, cache).boxes

    @torch.no_grad()
    def predict(self, batch: Batch, cache: FeatureCache | None = None) -> Prediction:
        """Boxes, as :meth:`detect` gives them, maps, and the output that they were read from."""
        output = self(batch, cache)
        groups, segmentation = output.groups, output.segmentation
        if self.config.test_mirror:
            other = self(mirrored(batch), None if cache is None else cache.mirrored)
            second = [mirrored_back(group) for group in other.groups]
            groups = [averaged(*pair) for pair in zip(groups, second, strict=True)]
            if self.config.segments:
                segmentation = averaged_logits(segmentation, other.segmentation.flip(2))
        nothing = [Boxes3D.empty() for _ in range(len(batch))]
        boxes = self.head.boxes(groups) if self.config.detects else nothing
        return Prediction(boxes, output, segmentation)
