"""The settings of the data: which, and how it reaches the network."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bev.data.adjacent import AdjacentConfig
from bev.data.augmentation import BevAugmentation, ImageAugmentation
from bev.data.folds import fold_splits
from bev.data.frame import Reference
from bev.data.nuscenes.source import NuScenesConfig
from bev.data.polygons import PolygonConfig
from bev.data.sampling import SamplingConfig
from bev.data.source import SourceConfig, check_cameras, check_source
from bev.errors import ConfigError


@dataclass(frozen=True)
class DataConfig:
    """Which data, and how it reaches the network; nothing is read here, ``source.open`` does that.

    Attributes:
        source: kind of the data set, and settings of its own; nuScenes' format by default.
        root: folder of the data set.
        version: nuScenes version, the name of the tables' folder; of no meaning to other sources.
        train_split, val_split: of the source; empty for its usual ones.
        fold: "k/K" trains on all scenes but those of fold k of K, and validates on these; empty for
            the splits.
        fraction: of the training scenes, above 0 to 1; 0.01 lies inside 0.1.
        fraction_seed: which scenes those are.
        sampling: how often and in which order training visits key frames.
        cameras: which cameras, in which order; empty for all of the source's, see
            :attr:`camera_names`.
        missing_cameras: "error" refuses data with a sample that lacks one of them; "skip" takes
            the others of such a sample.
        drop_cameras: so many cameras, drawn anew for each sample, are left out in training
            (Lift-Splat-Shoot: 1 of 6).
        adjacent: which frames before and after come with each key frame.
        reference: whose frame boxes and BEV stand in: "ego", the car's (x forward), or "lidar", the
            LIDAR_TOP sensor's own (in nuScenes x to the right, y forward, 1.8 m up), in which
            BEVDet's first release detects.
        image_size: (H, W) of the network's images, pixels.
        image_augmentation, bev_augmentation: drawn in training only; elsewhere images are as
            ``ImageAugmentation.still`` has them.
        test_scale: by how much images are enlarged outside training, counted as
            ``ImageAugmentation.scale`` is; the rest is cropped.
        min_points: ground truth with fewer lidar and radar points is not trained on.
        lidar: load lidar points: depth supervision needs them in training, and evaluation measures
            depth on the frames whose lidar file is there.
        polygons: the areas that BEV segmentation is to tell.
        image_cache: GiB of disk for decoded images, see ``bev.data.images.cache``; 0 is off.
        batch_size: samples a step and device.
        workers: loader processes a device; -1 for what the machine has.
    """

    source: SourceConfig = NuScenesConfig()
    root: Path = Path("data/nuscenes")
    version: str = "v1.0-trainval"
    train_split: str = ""
    val_split: str = ""
    fold: str = ""
    fraction: float = 1.0
    fraction_seed: int = 0
    sampling: SamplingConfig = SamplingConfig()
    cameras: tuple[str, ...] = ()
    missing_cameras: Literal["error", "skip"] = "error"
    drop_cameras: int = 0
    adjacent: AdjacentConfig = AdjacentConfig()
    reference: Reference = "ego"
    image_size: tuple[int, int] = (256, 704)
    image_augmentation: ImageAugmentation = ImageAugmentation()
    bev_augmentation: BevAugmentation = BevAugmentation()
    test_scale: float = 0.0
    min_points: int = 1
    lidar: bool = False
    polygons: PolygonConfig = PolygonConfig()
    image_cache: float = 0.0
    batch_size: int = 8
    workers: int = -1

    def __post_init__(self) -> None:
        check_source(self.source)
        labels, weighted = self.source.labels, [name for name, _ in self.sampling.class_weights]
        labels.check("data.polygons.layers", self.polygons.layers, labels.layer_names)
        labels.check("data.sampling.class_weights", tuple(weighted), labels.names)
        check_cameras("data.cameras", self.camera_names)
        if not 0 <= self.drop_cameras < len(self.camera_names):
            raise ConfigError(
                f"data.drop_cameras is {self.drop_cameras}; of {len(self.camera_names)} cameras 0"
                f" to {len(self.camera_names) - 1} can be dropped."
            )
        if self.batch_size < 1:
            raise ConfigError(f"data.batch_size is {self.batch_size}; give at least 1.")
        if self.image_cache < 0:
            raise ConfigError(f"data.image_cache is {self.image_cache}; give GiB, or 0 for none.")
        if not 0 < self.fraction <= 1:
            raise ConfigError(f"data.fraction is {self.fraction}; give one above 0, at most 1.")
        if self.fold:
            fold_splits(self.fold)
            if self.train_split or self.val_split:
                raise ConfigError(
                    f"data.fold {self.fold} deals out all scenes; leave data.train_split and"
                    " data.val_split empty with it."
                )

    @property
    def splits(self) -> tuple[str, str]:
        """(training, validation) split names."""
        if self.fold:
            return fold_splits(self.fold)
        if self.train_split and self.val_split:
            return self.train_split, self.val_split
        usual = self.source.splits(self)
        return self.train_split or usual[0], self.val_split or usual[1]

    @property
    def camera_names(self) -> tuple[str, ...]:
        """The cameras in use, in the order that they are served in."""
        return self.cameras or self.source.cameras


@dataclass(frozen=True)
class DataChoice:
    """Where the data lie, where that differs from the checkpoint's config.

    Attributes:
        root: folder of the data set.
        version: nuScenes version.
        cameras: of another rig than the model was trained with; empty for the config's.
        layers: those of the config's areas that the data have, e.g. vehicle where the map expansion
            is missing; empty for all.
    """

    root: Path | None = None
    version: str | None = None
    cameras: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()

    def apply(self, data: DataConfig) -> DataConfig:
        """The config's data with what was chosen here; another version takes its usual splits.

        Raises:
            ConfigError: where ``layers`` names an area that the config does not have.
        """
        if self.root is not None:
            data = replace(data, root=self.root)
        if self.cameras:
            data = replace(data, cameras=self.cameras, drop_cameras=0)
        if self.layers:
            unknown = [name for name in self.layers if name not in data.polygons.layers]
            if unknown:
                raise ConfigError(
                    f"--data.layers names {', '.join(unknown)}; the config's areas are"
                    f" {', '.join(data.polygons.layers) or 'none'}."
                )
            data = replace(data, polygons=replace(data.polygons, layers=self.layers))
        if self.version is not None and self.version != data.version:
            data = replace(data, version=self.version, train_split="", val_split="", fold="")
        return data
