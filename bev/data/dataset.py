"""PyTorch dataset of key frames.

Augmentation is reproducible: it depends only on the seed and the visit (epoch, frame, and number of
earlier visits of the frame in the epoch), not on the dataloader worker. Random numbers differ
between workers, epochs and visits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from bev.data.augmentation import BevAugmentation, draw
from bev.data.batch import AdjacentViews, Batch, Views
from bev.data.epoch import Visit
from bev.data.frame import AdjacentFrame, CameraFrame, Frame
from bev.data.images.cache import ImageCache
from bev.data.images.grid_mask import hide_squares
from bev.data.images.loading import Decode, load_image
from bev.data.images.photometric import change_colours, photometric_transform
from bev.data.settings import DataConfig
from bev.data.source import Frames
from bev.data.storage.remote import local_folder
from bev.errors import ConfigError, DataError
from bev.geometry import Cameras, Polygons, stack_lenses

if TYPE_CHECKING:
    from bev.data.images.corruptions.corruption import Corruption


class KeyFrames(Dataset):
    """Dataset of key frames; every item is a :class:`Batch` of one sample, to be collated.

    An item is indexed by an integer, or by the fields of a ``Visit`` so that every visit draws its
    own augmentation.

    Args:
        frames: key frames; a ``Frames`` if training plays scenes at other rates.
        config: data settings.
        training: augment, drop cameras, and omit ground truth without lidar and radar points.
        seed: seed of the augmentation.
        corruption: corruption of all images, to measure robustness.

    Raises:
        ConfigError: if the photometric transform cannot augment images, or if other playback rates
            are set for frames that are not ``Frames``.
        DataError: if the image cache cannot be written or the source has no polygons; on access,
            for a missing or damaged image or lidar file. Outside training, a frame whose lidar
            file is missing has no points.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        config: DataConfig,
        training: bool,
        seed: int = 0,
        corruption: "Corruption | None" = None,
    ) -> None:
        self.frames, self.config, self.training, self.seed = frames, config, training, seed
        self.corruption = corruption
        self.cameras = config.camera_names
        self.image_augmentation = config.image_augmentation
        if not training:
            self.image_augmentation = config.image_augmentation.still(config.test_scale)
        self.bev_augmentation = config.bev_augmentation if training else BevAugmentation.off()
        if training and config.adjacent.plays and not isinstance(frames, Frames):
            raise ConfigError(
                f"data.adjacent.playback = {config.adjacent.playback} needs frames that can be read"
                f" at other rates (bev.data.source.Frames), not a {type(frames).__name__}; set it"
                " to 1."
            )
        photometric_transform(self.image_augmentation.transform)  # raises if it is not usable
        limit, layers = int(config.image_cache * 2**30), config.polygons.layers
        self._polygons_of = config.source.polygons(config, frames) if layers else None
        cache = ImageCache.open(local_folder(config.root), limit) if limit else None
        self.decoded: Decode | None = cache.decode if cache is not None else None

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, key: int | tuple[int, ...]) -> Batch:
        visit = Visit(*key) if isinstance(key, tuple) else Visit(0, key)
        rng = np.random.default_rng([self.seed, *visit])
        frame = self._frame(visit.frame, rng)
        drawn = draw(
            self.image_augmentation,
            self.bev_augmentation,
            [camera.size for camera in frame.cameras],
            self.config.image_size,
            rng,
            [self.image_augmentation.horizon_of(camera) for camera in frame.cameras],
        )
        boxes = frame.boxes
        if self.training:
            boxes = boxes[frame.counted(self.config.min_points)]
        lidar = torch.zeros(0, 3)
        if self.config.lidar and (self.training or frame.has_lidar):
            lidar = frame.load_lidar()
        names = [camera.name for camera in frame.cameras]
        matrices = dict(zip(names, drawn.image_from_original, strict=True))
        current = AdjacentFrame(frame.token, frame.cameras, 0.0, torch.eye(4, dtype=torch.float64))
        has_polygons = self._polygons_of is not None
        return Batch(
            views=self._views(frame.token, frame.cameras, matrices, drawn.colour_seed),
            bev_from_ego=drawn.bev_from_ego.unsqueeze(0),
            boxes=[boxes.transform(drawn.bev_from_ego)],
            lidar=[lidar],
            global_from_ego=frame.global_from_ego.unsqueeze(0),
            adjacent=[
                self._adjacent(other, current, matrices, drawn.colour_seed)
                for other in frame.adjacent
            ],
            polygons=[self.polygons(frame).transform(drawn.bev_from_ego)] if has_polygons else [],
        )

    def polygons(self, frame: Frame) -> Polygons:
        """Polygons around a frame, in its reference ego frame; empty if no layers are configured.

        Raises:
            DataError: if the source returns no ``Polygons``, or a layer that it does not have.
        """
        if self._polygons_of is None:
            return Polygons.empty()
        polygons, count = self._polygons_of(frame), len(self.config.source.labels.layers)
        is_polygons = isinstance(polygons, Polygons)
        layers = polygons.layer.unique().tolist() if is_polygons else [type(polygons)]
        if not all(number in range(count) for number in layers):
            raise DataError(
                f"{type(self.config.source).__name__}.polygons gives layers {layers} for frame"
                f" {frame.token!r}; return Polygons whose layers are 0 to {count - 1}."
            )
        return polygons

    def _frame(self, index: int, rng: np.random.Generator) -> Frame:
        """Read a frame; in training drop cameras and draw a playback rate."""
        frames = self.frames
        if not self.training:
            return frames[index]
        keep = len(self.cameras) - self.config.drop_cameras
        if not (self.config.adjacent.plays and isinstance(frames, Frames)):
            return drop_cameras(frames[index], keep, rng)
        rate = float(rng.choice(self.config.adjacent.playback))
        frame = drop_cameras(frames.played(index, rate), keep, rng)
        if frame.shows_other_times:
            return frame
        # No adjacent image reveals the rate, so the frame keeps its original velocities.
        return replace(frames[index], cameras=frame.cameras)

    def _adjacent(
        self,
        other: AdjacentFrame,
        current: AdjacentFrame,
        matrices: Mapping[str, Tensor],
        colour_seed: int,
    ) -> AdjacentViews:
        """Images of an adjacent frame from the sample's cameras, with the sample's augmentation.

        If the adjacent frame has none of these cameras, the sample itself (``current``) takes its
        place, as at the ends of a scene.
        """
        cameras = tuple(camera for camera in other.cameras if camera.name in matrices)
        if not cameras:
            other, cameras = current, current.cameras
        return AdjacentViews(
            **vars(self._views(other.name, cameras, matrices, colour_seed)),
            ego_from_adjacent=other.ego_from_adjacent.float().unsqueeze(0),
            seconds=torch.tensor([other.seconds], dtype=torch.float32),
        )

    def _views(
        self,
        name: str,
        cameras: Sequence[CameraFrame],
        matrices: Mapping[str, Tensor],
        colour_seed: int,
    ) -> Views:
        """Images and calibrations of one time, each augmented by the matrix of its camera."""
        size, affine = self.config.image_size, [matrices[camera.name] for camera in cameras]
        # One seed per camera: same colours and mask at all times, whatever other cameras exist.
        seeds = [colour_seed + self.cameras.index(camera.name) for camera in cameras]
        images = torch.stack(
            [
                load_image(camera, matrix, size, self._decode(camera.name, seed))
                for camera, matrix, seed in zip(cameras, affine, seeds, strict=True)
            ]
        )
        images = change_colours(images, self.image_augmentation.transform, seeds)
        images = hide_squares(images, self.image_augmentation.grid_mask, seeds)
        calibrations = Cameras(
            intrinsics=torch.stack([c.intrinsics for c in cameras]),
            ego_from_camera=torch.stack([c.ego_from_camera for c in cameras]),
            image_from_original=torch.stack(affine),
            lens=stack_lenses([c.lens for c in cameras]),
        )
        return Views(images.unsqueeze(0), calibrations.to(torch.float32)[None], [name])

    def _decode(self, camera: str, seed: int) -> Decode | None:
        """Function that decodes the images of a camera, and corrupts them."""
        corruption = self.corruption or self.image_augmentation.corruption.drawn(seed)
        if corruption is None:
            return self.decoded
        root = local_folder(self.config.root)
        return corruption.decoder(camera, self.cameras, root, self.decoded)


def drop_cameras(frame: Frame, keep: int, rng: np.random.Generator) -> Frame:
    """Keep ``keep`` randomly chosen cameras of a frame, in their original order.

    A frame with at most ``keep`` cameras is returned unchanged, without drawing random numbers.
    """
    if len(frame.cameras) <= keep:
        return frame
    kept = np.sort(rng.choice(len(frame.cameras), keep, replace=False))
    return replace(frame, cameras=tuple(frame.cameras[i] for i in kept))
