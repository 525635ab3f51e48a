"""The whole network: images of a camera ring in, what its heads predict out."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

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
from bev.models.heads.base import Features, FeatureSpec, HeadConfig
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
    """Settings of :class:`Detector`, part by part.

    Every field that holds a ``HeadConfig`` is a head; a subclass may add fields, and so heads.

    Attributes:
        labels: classes, attributes and layers that boxes and areas are numbered by. None in a
            config file: an ``Experiment`` takes those of the data's source.
        head: detects boxes; without tasks there is no detection.
        segmentation: predicts areas of the BEV; without layers there is no segmentation.
        depth_supervision: of the view transform, by lidar.
        image_head: auxiliary class loss in image space.
        flip_tta: predict for the scene and for its mirror image, and average (twice the time).

    Raises:
        ConfigError: where a head does not work in this model, and where there is none beside
            auxiliary ones.
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
        for head in self.heads.values():
            head.check_model(self)
        if all(head.auxiliary for head in self.heads.values()):
            raise ConfigError(
                "The model predicts nothing: name classes in model.head.tasks, or layers in"
                " model.segmentation.layers."
            )

    @property
    def heads(self) -> dict[str, HeadConfig]:
        """Settings of the heads that have anything to predict, by name."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {n: v for n, v in values if isinstance(v, HeadConfig) and v.active}

    def build(self) -> "Detector":
        """Build the detector; errors are those of its parts."""
        return Detector(self)


class DetectorOutput(NamedTuple):
    """Raw network outputs.

    Attributes:
        heads: of each head, by name.
        features: that they were computed from.
    """

    heads: dict[str, Any]
    features: Features


class Prediction(NamedTuple):
    """Decoded results.

    Attributes:
        boxes: of each sample, see :meth:`Detector.detect`.
        results: of each head, by name.
        output: raw outputs, of the scene as it is (also with ``flip_tta``).
    """

    boxes: list[Boxes3D]
    results: dict[str, Any]
    output: DetectorOutput


class Detector(nn.Module):
    """Backbone, neck, view transform, temporal fusion, BEV encoder and heads.

    Raises:
        ConfigError: where the config has no label space; errors of its parts.

    Raises (in use):
        DataError: where the batch carries other than ``temporal.num_adjacent`` adjacent frames, or lacks
            what a head's loss needs.
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        if config.labels is None:
            raise ConfigError(
                "model.labels is not set, which says what boxes and areas are called: build the"
                " model of an Experiment, which takes the labels of its data source, or set it."
            )
        self.config = config
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
            config.labels,
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
        """Raw outputs for a batch; a cache spares images that were seen before."""
        features = self.features(batch, cache)
        heads = {name: getattr(self, name)(features) for name in self.config.heads}
        return DetectorOutput(heads, features)

    def features(self, batch: Batch, cache: FeatureCache | None = None) -> Features:
        """Everything that heads are computed from."""
        if len(batch.adjacent) != self.config.temporal.num_adjacent:
            raise DataError(
                f"The batch carries {len(batch.adjacent)} adjacent frames and the model joins"
                f" {self.config.temporal.num_adjacent}: data.adjacent must fit model.temporal.num_adjacent."
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
        return Features(self.encoder(bev), features, lifted.depth_logits)

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
        """Weighted loss terms; their sum is what training minimises.

        Raises:
            ConfigError: where a head gives no scalar, or a term that another head has.
        """
        terms: dict[str, Tensor] = {}
        for name, output in self(batch).heads.items():
            own = check_terms(getattr(self, name).loss(output, batch), name)
            if twice := terms.keys() & own.keys():
                raise ConfigError(
                    f"Head model.{name}: the loss term {min(twice)!r} is that of another head; give"
                    " it a name of its own."
                )
            terms |= own
        return terms

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
        """The decoded result of every head, and the outputs that they were decoded from."""
        output = self(batch, cache)
        found = output.heads
        if self.config.flip_tta:
            other = self(flipped(batch), None if cache is None else cache.flipped).heads
            found = {n: getattr(self, n).averaged(own, other[n]) for n, own in found.items()}
        results = {name: getattr(self, name).decode(own) for name, own in found.items()}
        every = (getattr(self, name).boxes(own) for name, own in results.items())
        nothing = [Boxes3D.empty() for _ in range(len(batch))]
        boxes = next((own for own in every if own is not None), nothing)
        return Prediction(boxes, results, output)


def check_terms(terms: Any, name: str) -> dict[str, Tensor]:
    """A head's loss terms, as they are.

    Raises:
        ConfigError: where they are no mapping of scalar tensors.
    """
    if isinstance(terms, dict) and "loss" in terms:
        raise ConfigError(
            f"Head model.{name}: a loss term has the name 'loss', that of their sum; rename it."
        )
    sound = isinstance(terms, dict) and all(
        isinstance(value, Tensor) and value.ndim == 0 for value in terms.values()
    )
    if not sound:
        items = terms.items() if isinstance(terms, dict) else [("it", terms)]
        found = ", ".join(f"{key} is {_described(value)}" for key, value in items)
        raise ConfigError(
            f"Head model.{name}: its loss gives no mapping of names to scalar tensors: {found}."
        )
    return terms


def _described(value: Any) -> str:
    shape = f" of shape {tuple(value.shape)}" if isinstance(value, Tensor) else ""
    return f"a {type(value).__name__}{shape}"
