"""A torch data set of key frames.

Repeatable: the augmentation of a sample is a function of the seed and the visit (epoch, index, and
how often this epoch had it before), whatever worker makes it; nothing repeats between workers,
epochs or visits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

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
from bev.data.images.loading import load_image
from bev.data.images.photometric import change_colours, photometric_transform
from bev.data.settings import DataConfig
from bev.data.source import Frames
from bev.errors import ConfigError, DataError
from bev.geometry import Cameras, Polygons, stack_lenses


class KeyFrames(Dataset):
    """Batches of one sample each, to be collated.

    Args:
        frames: what to serve; ``Frames`` where training plays scenes at other rates.
        config: settings.
        training: augment, drop cameras, and leave out ground truth without points.
        seed: of the augmentation.

    Items are asked for by index, or by the fields of a ``Visit`` so that each augments anew.

    Raises:
        ConfigError: where the photometric transform cannot augment images, and where frames that
            are not ``Frames`` are to be played at other rates.
        DataError: where an image cache is asked for that cannot be written, or areas that the
            source cannot give; on access, for a missing or damaged image or lidar file. Outside
            training a frame without a lidar file is served without points.
    """

    def __init__(
        self, frames: Sequence[Frame], config: DataConfig, training: bool, seed: int = 0
    ) -> None:
        self.frames, self.config, self.training, self.seed = frames, config, training, seed
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
        photometric_transform(self.image_augmentation.photometric)  # raises what is wrong with it
        room = int(config.image_cache * 2**30)
        asked = config.polygons.layers
        self._areas = config.source.polygons(config, frames) if asked else None
        self.decoded = ImageCache.open(config.root, room).decode if room else None

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, key: int | tuple[int, ...]) -> Batch:
        visit = Visit(*key) if isinstance(key, tuple) else Visit(0, key)
        rng = np.random.default_rng([self.seed, *visit])
        frame = self._frame(visit.index, rng)
        drawn = draw(
            self.image_augmentation,
            self.bev_augmentation,
            [camera.size for camera in frame.cameras],
            self.config.image_size,
            rng,
        )
        boxes = frame.boxes
        if self.training:
            boxes = boxes[frame.counted(self.config.min_points)]
        lidar = torch.zeros(0, 3)
        if self.config.lidar and (self.training or frame.has_lidar):
            lidar = frame.load_lidar()
        names = [camera.name for camera in frame.cameras]
        matrices = dict(zip(names, drawn.image_from_original, strict=True))
        itself = AdjacentFrame(frame.token, frame.cameras, 0.0, torch.eye(4, dtype=torch.float64))
        return Batch(
            views=self._views(frame.token, frame.cameras, matrices, drawn.colour_seed),
            bev_from_ego=drawn.bev_from_ego.unsqueeze(0),
            boxes=[boxes.transform(drawn.bev_from_ego)],
            lidar=[lidar],
            global_from_ego=frame.global_from_ego.unsqueeze(0),
            adjacent=[
                self._adjacent(other, itself, matrices, drawn.colour_seed)
                for other in frame.adjacent
            ],
            polygons=[self.polygons(frame).transform(drawn.bev_from_ego)] if self._areas else [],
        )

    def polygons(self, frame: Frame) -> Polygons:
        """The areas around a frame, in its reference ego frame; none where none are asked for.

        Raises:
            DataError: where the source gives no polygons, or a layer that it does not have.
        """
        if self._areas is None:
            return Polygons.empty()
        found, count = self._areas(frame), len(self.config.source.labels.layers)
        given = found.layer.unique().tolist() if isinstance(found, Polygons) else [type(found)]
        if not all(number in range(count) for number in given):
            raise DataError(
                f"{type(self.config.source).__name__}.polygons gives layers {given} for frame"
                f" {frame.token!r}; give Polygons whose layers are 0 to {count - 1}."
            )
        return found

    def _frame(self, index: int, rng: np.random.Generator) -> Frame:
        """A frame; in training with cameras dropped, and its scene played at a rate drawn."""
        if not self.training:
            return self.frames[index]
        keep = len(self.cameras) - self.config.drop_cameras
        if not self.config.adjacent.plays:
            return drop_cameras(self.frames[index], keep, rng)
        rate = float(rng.choice(self.config.adjacent.playback))
        frame = drop_cameras(self.frames.played(index, rate), keep, rng)
        if frame.shows_other_times:
            return frame
        # Nothing would show the rate: as it is.
        return replace(self.frames[index], cameras=frame.cameras)

    def _adjacent(
        self,
        other: AdjacentFrame,
        itself: AdjacentFrame,
        matrices: Mapping[str, Tensor],
        colour_seed: int,
    ) -> AdjacentViews:
        """Another time's images of the sample's cameras, augmented as the sample's own.

        Where that time has none of these cameras, the sample itself takes its place, as where a
        scene has no such time.
        """
        seen = [camera for camera in other.cameras if camera.name in matrices]
        if not seen:
            other, seen = itself, itself.cameras
        return AdjacentViews(
            **vars(self._views(other.name, seen, matrices, colour_seed)),
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
        """Images and calibrations of one time, augmented by each camera's own matrix."""
        size, affine = self.config.image_size, [matrices[camera.name] for camera in cameras]
        pairs = zip(cameras, affine, strict=True)
        images = torch.stack(
            [load_image(camera, matrix, size, self.decoded) for camera, matrix in pairs]
        )
        # A camera's own seed: the same colours and mask at all times, whichever others there are.
        seeds = [colour_seed + self.cameras.index(camera.name) for camera in cameras]
        images = change_colours(images, self.image_augmentation.photometric, seeds)
        images = hide_squares(images, self.image_augmentation.grid_mask, seeds)
        calibrations = Cameras(
            intrinsics=torch.stack([c.intrinsics for c in cameras]),
            ego_from_camera=torch.stack([c.ego_from_camera for c in cameras]),
            image_from_original=torch.stack(affine),
            lens=stack_lenses([c.lens for c in cameras]),
        )
        return Views(images.unsqueeze(0), calibrations.to(torch.float32)[None], [name])


def drop_cameras(frame: Frame, keep: int, rng: np.random.Generator) -> Frame:
    """The frame with ``keep`` of its cameras, chosen at random, in their order.

    A frame with no more than that is left as it is, and nothing is drawn.
    """
    if len(frame.cameras) <= keep:
        return frame
    kept = np.sort(rng.choice(len(frame.cameras), keep, replace=False))
    return replace(frame, cameras=tuple(frame.cameras[i] for i in kept))
