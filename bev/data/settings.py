"""Settings of the data: data set, splits, cameras, augmentation and loading."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import bev.data.folder  # noqa: F401  (saved configs name its source)
from bev.bounds import Bound, Count, Natural, NonNegative, Seed, check_bounds, refusals
from bev.data.adjacent import AdjacentConfig
from bev.data.augmentation import BevAugmentation, ImageAugmentation, ScaleOffset
from bev.data.folds import fold_splits
from bev.data.frame import Reference
from bev.data.nuscenes.source import NuScenesConfig
from bev.data.polygons import PolygonConfig
from bev.data.sampling import SamplingConfig
from bev.data.source import SourceConfig, check_cameras, check_source
from bev.errors import ConfigError
from bev.paths import url_of


@dataclass(frozen=True)
class DataConfig:
    """Settings of the data. They read no files; ``source.open`` opens the data set.

    Attributes:
        source: type of the data set with its own settings; nuScenes' format by default.
        root: folder of the data set; for data in nuScenes' format also a URL of object storage
            that fsspec reads, such as s3://bucket/nuscenes, see docs/clusters.md.
        version: nuScenes version, the name of the tables' folder; ignored by other sources.
        train_split, val_split: names of the splits; empty for the source's defaults.
        fold: "k/K" for K-fold cross-validation: train on the scenes outside fold k of K and
            validate on fold k. Empty to use the splits.
        fraction: fraction of the training scenes to use, in (0, 1]; with the same seed a smaller
            fraction is a subset of a larger one.
        fraction_seed: seed of the choice of these scenes.
        sampling: number and order of visits of key frames in training.
        cameras: names of the cameras, in order; empty for all cameras of the source, see
            :attr:`camera_names`.
        missing_cameras: handling of samples that lack a camera: "error" rejects the data, "skip"
            uses the remaining cameras of the sample.
        drop_cameras: number of cameras that are randomly dropped from each sample in training
            (Lift-Splat-Shoot: 1 of 6).
        adjacent: adjacent frames of each key frame.
        reference: coordinate frame of boxes and BEV: "ego" for the ego vehicle (x forward), or
            "lidar" for the LIDAR_TOP sensor (in nuScenes x to the right, y forward, 1.8 m above
            the ground), which BEVDet's first release uses.
        image_size: (H, W) of the network's images, pixels.
        image_augmentation, bev_augmentation: random augmentation in training; in evaluation images
            are prepared by ``ImageAugmentation.still``.
        test_scale: enlargement of images in evaluation, in the unit of
            ``ImageAugmentation.scale``; images are then cropped.
        min_points: minimum number of lidar and radar points of ground-truth boxes in training.
        lidar: load lidar points. Training needs them for depth supervision; evaluation measures
            depth on the frames whose lidar file exists.
        polygons: map layers for BEV segmentation.
        image_cache: disk space for decoded images, GiB, see ``bev.data.images.cache``; 0 is off.
        batch_size: samples per step and device.
        workers: dataloader workers per device; -1 chooses the number by the machine.
    """

    source: SourceConfig = NuScenesConfig()
    root: Path = Path("data/nuscenes")
    version: str = "v1.0-trainval"
    train_split: str = ""
    val_split: str = ""
    fold: str = ""
    fraction: Annotated[float, Bound(above=0, most=1)] = 1.0
    fraction_seed: Seed = 0
    sampling: SamplingConfig = SamplingConfig()
    cameras: tuple[str, ...] = ()
    missing_cameras: Literal["error", "skip"] = "error"
    drop_cameras: Natural = 0
    adjacent: AdjacentConfig = AdjacentConfig()
    reference: Reference = "ego"
    image_size: tuple[Count, Count] = (256, 704)
    image_augmentation: ImageAugmentation = ImageAugmentation()
    bev_augmentation: BevAugmentation = BevAugmentation()
    test_scale: ScaleOffset = 0.0
    min_points: Natural = 1
    lidar: bool = False
    polygons: PolygonConfig = PolygonConfig()
    image_cache: NonNegative = 0.0
    batch_size: Count = 8
    workers: Annotated[int, Bound(least=-1, most=256)] = -1

    def __post_init__(self) -> None:
        if isinstance(self.source, SourceConfig) and isinstance(self.root, Path):
            if (url := url_of(self.root)) and not isinstance(self.source, NuScenesConfig):
                raise ConfigError(
                    f"data.root is {url}, and {type(self.source).__name__} reads folders of this"
                    " machine; copy the data, or use nuScenes' format."
                )
            object.__setattr__(self, "source", self.source.at(self.root))
        check_source(self.source)
        check_bounds(self, "data")

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about settings that do not fit the source or one another."""
        labels = self.source.labels
        weighted = tuple(name for name, _ in self.sampling.class_weights)
        yield from refusals(
            lambda: labels.check("data.polygons.layers", self.polygons.layers, labels.layer_names),
            lambda: labels.check("data.sampling.class_weights", weighted, labels.names),
            lambda: check_cameras("data.cameras", self.camera_names),
            lambda: self.fold and fold_splits(self.fold),
        )
        if not 0 <= self.drop_cameras < len(self.camera_names):
            yield (
                f"data.drop_cameras is {self.drop_cameras}; of {len(self.camera_names)} cameras 0"
                f" to {len(self.camera_names) - 1} can be dropped."
            )
        if self.fold and (self.train_split or self.val_split):
            yield (
                f"data.fold {self.fold} divides all scenes into folds; leave data.train_split"
                " and data.val_split empty."
            )

    @property
    def splits(self) -> tuple[str, str]:
        """Names of the (training, validation) splits."""
        if self.fold:
            return fold_splits(self.fold)
        if self.train_split and self.val_split:
            return self.train_split, self.val_split
        usual = self.source.splits(self)
        return self.train_split or usual[0], self.val_split or usual[1]

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Names of the cameras in use, in the order of the image tensors."""
        return self.cameras or self.source.cameras


@dataclass(frozen=True)
class DataChoice:
    """Overrides of the data settings of a checkpoint's config.

    Attributes:
        root: folder of the data set.
        version: nuScenes version.
        cameras: cameras of another rig than that of the training data; empty for the config's.
        layers: subset of the config's segmentation layers that the data have, e.g. vehicle if the
            map expansion is missing; empty for all.
    """

    root: Path | None = None
    version: str | None = None
    cameras: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()

    def apply(self, data: DataConfig) -> DataConfig:
        """Apply the overrides to data settings; another version uses its default splits.

        Raises:
            ConfigError: if ``layers`` contains a layer that the config does not have.
        """
        if self.root is not None:
            data = replace(data, root=self.root)
        if self.cameras:
            data = replace(data, cameras=self.cameras, drop_cameras=0)
        if self.layers:
            unknown = [name for name in self.layers if name not in data.polygons.layers]
            if unknown:
                raise ConfigError(
                    f"--data.layers contains {', '.join(unknown)}; the config's layers are"
                    f" {', '.join(data.polygons.layers) or 'none'}."
                )
            data = replace(data, polygons=replace(data.polygons, layers=self.layers))
        if self.version is not None and self.version != data.version:
            data = replace(data, version=self.version, train_split="", val_split="", fold="")
        return data
