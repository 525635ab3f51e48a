"""The one interface of all view transforms: image features in, BEV features out."""

from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor, nn

from bev.errors import ConfigError
from bev.geometry import BevGrid, Cameras


class BevFeatures(NamedTuple):
    """BEV features and depth logits of a view transform.

    Attributes:
        bev: (B, C, Y, X).
        depth_logits: (B, N, h, w, D) before the softmax, for depth supervision; None from a
            transform that predicts no depth.
    """

    bev: Float[Tensor, "B C Y X"]
    depth_logits: Float[Tensor, "B N h w D"] | None


class ViewTransform(nn.Module):
    """Base of the view transforms.

    Attributes:
        channels: of the BEV features.
        stride: pixels per cell of the image features.
    """

    channels: int
    stride: int

    def forward(
        self,
        features: Float[Tensor, "B N C h w"],
        image_size: tuple[int, int],
        cameras: Cameras,
        bev_from_ego: Float[Tensor, "B 4 4"],
        camera_mask: Bool[Tensor, "B N"] | None = None,
    ) -> BevFeatures:
        """BEV features of N cameras.

        Args:
            features: at ``stride`` pixels a cell, centred in the image where they do not fill it.
            image_size: (H, W), pixels.
            cameras: (B, N), of the network's images.
            bev_from_ego: BEV augmentation.
            camera_mask: which cameras are there, see ``Views``; None where all are. The others give
                nothing: their poses are NaN, and their features must not reach a network.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class ViewTransformConfig:
    """Common base of the view transforms' settings."""

    @property
    def predicts_depth(self) -> bool:
        """Whether it gives depth logits; those of the ``DepthBins`` at the field ``depth``."""
        return False

    @property
    def assumes_ground(self) -> bool:
        """Whether it takes z = 0 of the ego frame for the ground."""
        return False

    def build(self, in_channels: int, stride: int, grid: BevGrid) -> ViewTransform:
        """Build for image features of this width and stride (pixels)."""
        raise ConfigError(f"{type(self).__name__} does not define what it builds (build).")
