"""Batches: the input of a training step or of inference, as a dataclass that moves between devices.

The images, calibrations and camera mask of one time are one :class:`Views`. The key frame and every
adjacent frame have one each, so that image processing is written once for all times.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TypeVar, cast

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from bev.geometry import Boxes3D, Cameras, Polygons, stack_lenses

_Views = TypeVar("_Views", bound="Views")


@dataclass(frozen=True)
class Views:
    """Images of N cameras at one time, for B samples.

    Samples with fewer cameras than others in the batch are padded with absent cameras: a black
    image and a pose of NaN, so that no point projects into the camera or is lifted from it.
    Networks process only the valid cameras, see ``bev.models.camera_mask``.

    Attributes:
        images: (B, N, 3, H, W) RGB, 0-255; the backbone normalises them.
        cameras: (B, N) calibrations of the images; ``ego`` is the reference ego frame of this time.
        names: one name per sample: the token of a key frame, or the names of the image files.
        camera_mask: (B, N) True for valid cameras; None if all are valid.
    """

    images: UInt8[Tensor, "B N 3 H W"]
    cameras: Cameras
    names: Sequence[str]
    camera_mask: Bool[Tensor, "B N"] | None = None

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of the network's images, pixels."""
        height, width = self.images.shape[-2:]
        return height, width

    def to(self: _Views, device: torch.device | str, non_blocking: bool = False) -> _Views:
        """The views on another device."""
        mask = self.camera_mask
        return replace(
            self,
            images=self.images.to(device, non_blocking=non_blocking),
            cameras=self.cameras.to(device, non_blocking=non_blocking),
            camera_mask=None if mask is None else mask.to(device, non_blocking=non_blocking),
        )


@dataclass(frozen=True)
class AdjacentViews(Views):
    """Views of an adjacent frame, with its pose and time relative to the key frame.

    Attributes:
        ego_from_adjacent: (B, 4, 4), maps the ego frame of the adjacent time to the key frame's
            reference ego frame.
        seconds: (B,) time relative to the key frame, see ``bev.data.adjacent``; negative for
            earlier frames.
    """

    ego_from_adjacent: Float[Tensor, "B 4 4"] = field(kw_only=True)
    seconds: Float[Tensor, " B"] = field(kw_only=True)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "AdjacentViews":
        """The views on another device."""
        return replace(
            super().to(device, non_blocking),
            ego_from_adjacent=self.ego_from_adjacent.to(device, non_blocking=non_blocking),
            seconds=self.seconds.to(device, non_blocking=non_blocking),
        )


@dataclass(frozen=True)
class Batch:
    """B samples of N cameras each, joined by :func:`collate` from single samples (B = 1).

    Attributes:
        views: views of the key frames; their names are the tokens of the frames.
        bev_from_ego: (B, 4, 4) BEV augmentation; the identity outside training.
        boxes: ground-truth boxes of each sample, BEV frame.
        lidar: lidar points of each sample, ego frame (P, 3), metres; empty if not loaded.
        global_from_ego: (B, 4, 4) float64, the reference ego poses.
        adjacent: views of adjacent frames, in the order of ``AdjacentConfig.offsets``.
        polygons: ground-truth polygons of each sample for segmentation, BEV frame; empty without
            segmentation layers.
    """

    views: Views
    bev_from_ego: Float[Tensor, "B 4 4"]
    boxes: Sequence[Boxes3D]
    lidar: Sequence[Tensor]
    global_from_ego: Float[Tensor, "B 4 4"]
    adjacent: Sequence[AdjacentViews] = ()
    polygons: Sequence[Polygons] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def tokens(self) -> Sequence[str]:
        """Tokens of the key frames."""
        return self.views.names

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of the network's images, pixels, the same at all times."""
        return self.views.image_size

    def map_views(self, change: Callable[[Views], Views]) -> "Batch":
        """Apply a function to the views of every time, those of adjacent frames included.

        Args:
            change: function that returns views of the type that it is given, such as one that calls
                ``dataclasses.replace``.
        """
        adjacent = [cast(AdjacentViews, change(views)) for views in self.adjacent]
        return replace(self, views=change(self.views), adjacent=adjacent)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The batch on another device; ``global_from_ego`` stays on the CPU in float64."""
        return replace(
            self.map_views(lambda views: views.to(device, non_blocking)),
            bev_from_ego=self.bev_from_ego.to(device, non_blocking=non_blocking),
            boxes=[boxes.to(device, non_blocking) for boxes in self.boxes],
            lidar=[points.to(device, non_blocking=non_blocking) for points in self.lidar],
            polygons=[polygons.to(device, non_blocking) for polygons in self.polygons],
        )

    def pin_memory(self) -> "Batch":
        """Copy to page-locked memory, so that transfers overlap with work on the GPU."""
        return _pin(self)


def collate(samples: Sequence[Batch]) -> Batch:
    """Join samples along the batch dimension, padded to the largest number of cameras."""
    times = zip(*(s.adjacent for s in samples), strict=True)
    return Batch(
        views=join_views([s.views for s in samples]),
        bev_from_ego=torch.cat([s.bev_from_ego for s in samples]),
        boxes=[boxes for s in samples for boxes in s.boxes],
        lidar=[points for s in samples for points in s.lidar],
        global_from_ego=torch.cat([s.global_from_ego for s in samples]),
        adjacent=[
            AdjacentViews(
                **vars(join_views(views)),
                ego_from_adjacent=torch.cat([v.ego_from_adjacent for v in views]),
                seconds=torch.cat([v.seconds for v in views]),
            )
            for views in times
        ],
        polygons=[polygons for s in samples for polygons in s.polygons],
    )


def join_views(views: Sequence[Views]) -> Views:
    """Join the views of single samples at one time, padded with absent cameras."""
    counts = [v.images.shape[1] for v in views]
    most = max(counts)
    camera_mask = torch.arange(most) < torch.tensor(counts).unsqueeze(1)
    # An absent camera takes the lens of another one: its NaN pose invalidates all points anyway.
    lenses = [(v.cameras.lens[0].each(n), n) for v, n in zip(views, counts, strict=True)]
    flat = [own[min(i, n - 1)] for own, n in lenses for i in range(most)]
    fillers = {
        "intrinsics": torch.eye(3),
        "ego_from_camera": torch.tensor(torch.nan),
        "image_from_original": torch.eye(3),
    }
    cameras = {
        name: torch.cat([_filled(getattr(v.cameras, name), most, filler) for v in views])
        for name, filler in fillers.items()
    }
    lens = stack_lenses(flat).map(lambda value: value.unflatten(0, (-1, most)))
    return Views(
        images=torch.cat([_filled(v.images, most, torch.tensor(0)) for v in views]),
        cameras=Cameras(lens=lens, **cameras),
        names=[name for v in views for name in v.names],
        camera_mask=None if camera_mask.all() else camera_mask,
    )


def _filled(values: Tensor, count: int, filler: Tensor) -> Tensor:
    """Pad (1, n, ...) to (1, count, ...) with ``filler`` at the end."""
    more = filler.to(values).expand(1, count - values.shape[1], *values.shape[2:])
    return torch.cat([values, more], dim=1)


def _pin(value):
    if isinstance(value, Tensor):
        return value.pin_memory()
    if is_dataclass(value):
        return type(value)(**{f.name: _pin(getattr(value, f.name)) for f in fields(value)})
    return type(value)(map(_pin, value)) if isinstance(value, list | tuple) else value
