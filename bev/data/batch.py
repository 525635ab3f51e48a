"""What one training step or one inference takes: a named thing that moves between devices."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bev.geometry import Boxes3D, Cameras


@dataclass(frozen=True)
class Batch:
    """B samples of N cameras each. Made by :func:`collate` of single samples (B = 1).

    Attributes:
        images: (B, N, 3, H, W) RGB, 0-255; the backbone normalises them.
        cameras: (B, N) calibrations that match the images.
        bev_from_ego: (B, 4, 4) BEV augmentation; the identity outside training.
        boxes: truth of each sample in the BEV frame.
        lidar: points of each sample in the ego frame (P, 3), metres; no points where not asked for.
        tokens: nuScenes sample tokens.
        global_from_ego: (B, 4, 4) float64, the reference ego poses.
    """

    images: UInt8[Tensor, "B N 3 H W"]
    cameras: Cameras
    bev_from_ego: Float[Tensor, "B 4 4"]
    boxes: Sequence[Boxes3D]
    lidar: Sequence[Tensor]
    tokens: Sequence[str]
    global_from_ego: Float[Tensor, "B 4 4"]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of the network's images, pixels."""
        return tuple(self.images.shape[-2:])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The batch on another device; poses stay in float64 on the CPU."""
        move = {"device": device, "non_blocking": non_blocking}
        return replace(
            self,
            images=self.images.to(**move),
            cameras=self.cameras.to(**move),
            bev_from_ego=self.bev_from_ego.to(**move),
            boxes=[boxes.to(**move) for boxes in self.boxes],
            lidar=[points.to(**move) for points in self.lidar],
        )

    def pin_memory(self) -> "Batch":
        """Page-locked memory, for copies that overlap with work on the GPU."""
        return _pin(self)


def collate(samples: Sequence[Batch]) -> Batch:
    """Join samples along the batch dimension."""
    cameras = {
        f.name: torch.cat([getattr(s.cameras, f.name) for s in samples]) for f in fields(Cameras)
    }
    return Batch(
        images=torch.cat([s.images for s in samples]),
        cameras=Cameras(**cameras),
        bev_from_ego=torch.cat([s.bev_from_ego for s in samples]),
        boxes=[boxes for s in samples for boxes in s.boxes],
        lidar=[points for s in samples for points in s.lidar],
        tokens=[token for s in samples for token in s.tokens],
        global_from_ego=torch.cat([s.global_from_ego for s in samples]),
    )


def _pin(value):
    if isinstance(value, Tensor):
        return value.pin_memory()
    if is_dataclass(value):
        return type(value)(**{f.name: _pin(getattr(value, f.name)) for f in fields(value)})
    return [_pin(item) for item in value] if isinstance(value, list) else value
