"""The input of one training step or one inference: a named thing that moves between devices.

Images, cameras and which of them are there are one :class:`Views`, of the sample's own time as of
every adjacent one, so that code that looks at images is written once for all times.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from bev.geometry import Boxes3D, Cameras, Polygons, stack_lenses


@dataclass(frozen=True)
class Views:
    """Images of N cameras at one time, for B samples.

    A sample with fewer cameras than another of its batch is filled up with absent ones: a black
    image, and a pose of NaN, so that nothing is seen by it or lifted from it. Networks are given
    the others alone, see ``bev.models.camera_mask``.

    Attributes:
        images: (B, N, 3, H, W) RGB, 0-255; the backbone normalises them.
        cameras: (B, N) calibrations that match the images; ``ego`` is the reference ego frame of
            that time.
        names: of what was seen, one a sample: the token of a key frame, or the image files.
        camera_mask: (B, N) which cameras are there; None where all are.
    """

    images: UInt8[Tensor, "B N 3 H W"]
    cameras: Cameras
    names: Sequence[str]
    camera_mask: Bool[Tensor, "B N"] | None = None

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of the network's images, pixels."""
        return tuple(self.images.shape[-2:])

    def to(self, **move) -> "Views":
        """The views on another device (arguments as of ``Tensor.to``)."""
        return replace(
            self,
            images=self.images.to(**move),
            cameras=self.cameras.to(**move),
            camera_mask=None if self.camera_mask is None else self.camera_mask.to(**move),
        )


@dataclass(frozen=True)
class AdjacentViews(Views):
    """Views of another time, and where and when they were taken.

    Attributes:
        ego_from_adjacent: (B, 4, 4), the sample's reference ego frame from that of the other time.
        seconds: (B,) since the sample, as ``bev.data.adjacent`` tells it; negative for
            earlier ones.
    """

    ego_from_adjacent: Float[Tensor, "B 4 4"] = field(kw_only=True)
    seconds: Float[Tensor, " B"] = field(kw_only=True)

    def to(self, **move) -> "AdjacentViews":
        """The views on another device (arguments as of ``Tensor.to``)."""
        return replace(
            super().to(**move),
            ego_from_adjacent=self.ego_from_adjacent.to(**move),
            seconds=self.seconds.to(**move),
        )


@dataclass(frozen=True)
class Batch:
    """B samples of N cameras each. Made by :func:`collate` of single samples (B = 1).

    Attributes:
        views: of the sample's own time; their names are the frames' tokens.
        bev_from_ego: (B, 4, 4) BEV augmentation; the identity outside training.
        boxes: ground truth of each sample in the BEV frame.
        lidar: points of each sample in the ego frame (P, 3), metres; no points where not asked for.
        global_from_ego: (B, 4, 4) float64, the reference ego poses.
        adjacent: views of other times, nearest first, as many as the data are asked for.
        polygons: areas of each sample in the BEV frame, the ground truth of segmentation; none where the
            data are not asked for any.
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
        """The names of the sample's own views: the frames' tokens."""
        return self.views.names

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of the network's images at all times, pixels."""
        return self.views.image_size

    def map_views(self, change: Callable[[Views], Views]) -> "Batch":
        """The batch with the views of every time changed, its own and adjacent ones alike."""
        adjacent = [change(views) for views in self.adjacent]
        return replace(self, views=change(self.views), adjacent=adjacent)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The batch on another device; poses stay in float64 on the CPU."""
        move = {"device": device, "non_blocking": non_blocking}
        return replace(
            self.map_views(lambda views: views.to(**move)),
            bev_from_ego=self.bev_from_ego.to(**move),
            boxes=[boxes.to(**move) for boxes in self.boxes],
            lidar=[points.to(**move) for points in self.lidar],
            polygons=[polygons.to(**move) for polygons in self.polygons],
        )

    def pin_memory(self) -> "Batch":
        """Page-locked memory, for copies that overlap with work on the GPU."""
        return _pin(self)


def collate(samples: Sequence[Batch]) -> Batch:
    """Join samples along the batch dimension, filled up to the largest number of cameras."""
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
    """Join single samples' views of one time, filled up with absent cameras."""
    counts = [v.images.shape[1] for v in views]
    most = max(counts)
    camera_mask = torch.arange(most) < torch.tensor(counts).unsqueeze(1)
    # An absent camera's lens is another's: what it sees is NaN anyway, from its pose.
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
    cameras["lens"] = stack_lenses(flat).map(lambda value: value.unflatten(0, (-1, most)))
    return Views(
        images=torch.cat([_filled(v.images, most, torch.tensor(0)) for v in views]),
        cameras=Cameras(**cameras),
        names=[name for v in views for name in v.names],
        camera_mask=None if camera_mask.all() else camera_mask,
    )


def _filled(values: Tensor, count: int, filler: Tensor) -> Tensor:
    """(1, n, ...) to (1, count, ...), with ``filler`` at the end."""
    more = filler.to(values).expand(1, count - values.shape[1], *values.shape[2:])
    return torch.cat([values, more], dim=1)


def _pin(value):
    if isinstance(value, Tensor):
        return value.pin_memory()
    if is_dataclass(value):
        return type(value)(**{f.name: _pin(getattr(value, f.name)) for f in fields(value)})
    return type(value)(map(_pin, value)) if isinstance(value, list | tuple) else value
