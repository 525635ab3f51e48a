"""The detector: multi-camera images to the outputs of its heads."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Any, NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from bev.bounds import check_bounds, check_clashes, refusals
from bev.calls import FIXED, HIDDEN
from bev.data.batch import Batch, Views
from bev.data.labels import LabelSpace
from bev.errors import ConfigError, DataError
from bev.geometry import BevGrid, Boxes3D
from bev.models.bev.encoder import BevEncoderConfig
from bev.models.bev.temporal import TemporalConfig
from bev.models.camera_mask import gather_valid, scatter_valid
from bev.models.feature_cache import FeatureCache
from bev.models.flip_tta import check_flip, flipped
from bev.models.heads.base import Features, FeatureSpec, HeadConfig, check_terms
from bev.models.heads.center.head import CenterHeadConfig
from bev.models.heads.depth import DepthSupervisionConfig
from bev.models.heads.image import ImageClassHeadConfig
from bev.models.heads.segmentation import SegmentationHeadConfig
from bev.models.image.backbone import BackboneConfig
from bev.models.image.neck import FpnConfig, NeckConfig
from bev.models.view.base import BevFeatures, ViewTransformConfig
from bev.models.view.lift_splat import LiftSplatConfig


@dataclass(frozen=True)
class DetectorConfig:
    """Settings of :class:`Detector`.

    Every field whose value is a ``HeadConfig`` is a head; a subclass may add fields to add heads.

    Attributes:
        labels: label space of boxes and polygons: classes, attributes and layers. None in a config
            file, where an ``Experiment`` takes the labels of the data source.
        backbone: image backbone.
        neck: neck that merges the feature maps of the backbone into one.
        grid: BEV grid.
        view: view transform, from image features to BEV features.
        temporal: fusion of the current and the adjacent frames.
        encoder: BEV encoder.
        head: detection head for boxes; no detection if it has no tasks.
        segmentation: BEV segmentation head; no segmentation if it has no layers.
        depth_supervision: supervision of the predicted depth by lidar.
        image_head: auxiliary classification loss in image space.
        flip_tta: flip test-time augmentation; doubles the inference time.

    Raises:
        ConfigError: if a head does not fit the model, or all are auxiliary.
    """

    labels: Annotated[LabelSpace | None, FIXED, HIDDEN] = None
    backbone: BackboneConfig = BackboneConfig()
    neck: NeckConfig = FpnConfig()
    grid: BevGrid = BevGrid()
    view: ViewTransformConfig = LiftSplatConfig()
    temporal: TemporalConfig = TemporalConfig()
    encoder: BevEncoderConfig = BevEncoderConfig()
    head: HeadConfig = CenterHeadConfig()
    segmentation: HeadConfig = SegmentationHeadConfig()
    depth_supervision: HeadConfig = DepthSupervisionConfig()
    image_head: HeadConfig = ImageClassHeadConfig()
    flip_tta: bool = False

    def __post_init__(self) -> None:
        check_clashes(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about heads that do not fit the model, or are missing."""
        yield from refusals(*(partial(head.check_model, self) for head in self.heads.values()))
        if all(head.auxiliary for head in self.heads.values()):
            yield (
                "The model predicts nothing: set classes in model.head.tasks, or layers in"
                " model.segmentation.layers."
            )

    @property
    def label_space(self) -> LabelSpace:
        """The label space.

        Raises:
            ConfigError: if ``labels`` is None.
        """
        if self.labels is None:
            raise ConfigError(
                "model.labels is not set, so classes and map layers have no names: build the model"
                " of an Experiment, which takes its data source's labels, or set model.labels."
            )
        return self.labels

    @property
    def heads(self) -> dict[str, HeadConfig]:
        """Settings of the active heads, by name."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {n: v for n, v in values if isinstance(v, HeadConfig) and v.active}

    def build(self) -> "Detector":
        """Build the detector; raises the errors of its parts, and of ``check_bounds``."""
        check_bounds(self, "model")
        return Detector(self)


class DetectorOutput(NamedTuple):
    """Raw network outputs.

    Attributes:
        heads: output of each head, by name.
        features: features that the heads were applied to.
    """

    heads: dict[str, Any]
    features: Features


class Prediction(NamedTuple):
    """Decoded results.

    Attributes:
        boxes: boxes of each sample, see :meth:`Detector.detect`.
        results: decoded result of each head, by name.
        output: raw outputs of the batch that is not flipped (also with ``flip_tta``).
    """

    boxes: list[Boxes3D]
    results: dict[str, Any]
    output: DetectorOutput


class Detector(nn.Module):
    """Backbone, neck, view transform, temporal fusion, BEV encoder and heads.

    Attributes:
        left_out: names of heads that are not computed, because their results are not needed.

    Raises:
        ConfigError: if the config has no label space; further errors of the parts.

    Raises (in use):
        DataError: if the number of adjacent frames in a batch is not ``temporal.num_adjacent``, or
            the batch lacks data that the loss of a head needs.
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        labels = config.label_space  # raises before any module is built
        self.config = config
        self.left_out: frozenset[str] = frozenset()
        self.backbone = config.backbone.build()
        self.neck = config.neck.build(self.backbone.channels, self.backbone.strides)
        self.view = config.view.build(self.neck.channels, self.neck.stride, config.grid)
        self.temporal = config.temporal.build(self.view.channels)
        self.encoder = config.encoder.build(self.temporal.channels)
        if config.flip_tta:
            check_flip(config.grid)
        spec = FeatureSpec(
            self.encoder.channels,
            config.grid,
            labels,
            self.neck.channels,
            self.view.stride,
            config.view.depth if config.view.predicts_depth else None,
        )
        for name, head in config.heads.items():
            if hasattr(self, name):
                raise ConfigError(
                    f"Head model.{name} has the name of another part of a Detector; rename it."
                )
            self.add_module(name, head.build(spec))
        self.to(memory_format=torch.channels_last)

    def forward(self, batch: Batch, cache: FeatureCache | None = None) -> DetectorOutput:
        """Compute the raw outputs of a batch; a cache provides known image features."""
        features = self.features(batch, cache)
        names = [name for name in self.config.heads if name not in self.left_out]
        return DetectorOutput({name: getattr(self, name)(features) for name in names}, features)

    def features(self, batch: Batch, cache: FeatureCache | None = None) -> Features:
        """Compute the features that the heads are applied to."""
        if len(batch.adjacent) != self.config.temporal.num_adjacent:
            raise DataError(
                f"The batch carries {len(batch.adjacent)} adjacent frames and the model joins"
                f" {self.config.temporal.num_adjacent}: data.adjacent must match"
                " model.temporal.num_adjacent."
            )
        # The current frame goes first: autocast caches the weights that it casts, and weights cast
        # without gradients would be reused where gradients are needed.
        size = batch.image_size
        features, lifted = self._lift(batch.views, size, batch.bev_from_ego, cache)
        adjacent, left_out = [], self.training and self.temporal.left_out
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.temporal.gradient):
            for views in () if left_out else batch.adjacent:
                with torch.autocast(features.device.type, enabled=False):
                    bev_from_adjacent = batch.bev_from_ego @ views.ego_from_adjacent
                adjacent.append(self._lift(views, size, bev_from_adjacent, cache)[1].bev)
        bev = self.temporal(lifted.bev, adjacent, [views.seconds for views in batch.adjacent])
        return Features(self.encoder(bev), features, lifted.depth_logits)

    def _lift(
        self,
        views: Views,
        image_size: tuple[int, int],
        bev_from_ego: Float[Tensor, "B 4 4"],
        cache: FeatureCache | None,
    ) -> tuple[Float[Tensor, "B N C h w"], BevFeatures]:
        """Compute the image features of one frame and the BEV features lifted from them.

        Args:
            views: images and cameras of the frame.
            image_size: (H, W), also if the images are empty because their features are cached.
            bev_from_ego: BEV frame of the sample from the ego frame at the time of the views.
            cache: cache of image features, if any.
        """
        if cache is None:
            features = self._image_features(views.images, views.camera_mask)
        else:
            features = cache.get(views, self._image_features)
        camera_mask = views.camera_mask
        return features, self.view(features, image_size, views.cameras, bev_from_ego, camera_mask)

    def _image_features(
        self, images: UInt8[Tensor, "B N 3 H W"], camera_mask: Bool[Tensor, "B N"] | None = None
    ) -> Float[Tensor, "B N C h w"]:
        return scatter_valid(
            self.neck(self.backbone(gather_valid(images, camera_mask))), camera_mask, len(images)
        )

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted loss terms, by name; training minimises their sum.

        Raises:
            ConfigError: if a head returns a loss that is not a scalar, or a term whose name is used
                by another head.
        """
        terms: dict[str, Tensor] = {}
        for name, output in self(batch).heads.items():
            head_terms = check_terms(getattr(self, name).loss(output, batch), name)
            if duplicates := terms.keys() & head_terms.keys():
                raise ConfigError(
                    f"Head model.{name}: another head has the loss term {min(duplicates)!r} too;"
                    " rename it."
                )
            terms |= head_terms
        return terms

    def detect(self, batch: Batch, cache: FeatureCache | None = None) -> list[Boxes3D]:
        """Detect boxes: the boxes of each sample, sorted by score, on the CPU.

        Boxes are in the BEV frame, which is the ego frame if the batch is not augmented. The lists
        are empty for a model without detection.

        Args:
            batch: batch with images; images of adjacent frames may be empty if they are cached.
            cache: cache of the stream of frames that the batch belongs to, for temporal models.
        """
        return self.predict(batch, cache).boxes

    @torch.no_grad()
    def predict(self, batch: Batch, cache: FeatureCache | None = None) -> Prediction:
        """Decode the result of every head; also returns the raw outputs."""
        output = self(batch, cache)
        outputs = output.heads
        if self.config.flip_tta:
            mirrored = self(flipped(batch), None if cache is None else cache.flipped).heads
            outputs = {
                name: getattr(self, name).averaged(head_output, mirrored[name])
                for name, head_output in outputs.items()
            }
        results = {
            name: getattr(self, name).decode(head_output) for name, head_output in outputs.items()
        }
        candidates = (getattr(self, name).boxes(result) for name, result in results.items())
        no_boxes = [Boxes3D.empty() for _ in range(len(batch))]
        boxes = next((found for found in candidates if found is not None), no_boxes)
        return Prediction(boxes, results, output)
