"""Interface of the view transforms: image features to BEV features."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from jaxtyping import Bool, Float
from torch import Tensor, nn

from bev.errors import ConfigError
from bev.geometry import BevGrid, Cameras
from bev.models.view.kept import KeptGeometry

if TYPE_CHECKING:
    from bev.models.view.depth_bins import DepthBinning

_T = TypeVar("_T")


class BevFeatures(NamedTuple):
    """Output of a view transform.

    Attributes:
        bev: (B, C, Y, X) BEV features.
        depth_logits: (B, N, h, w, D) depth logits before the softmax, for depth supervision; None
            if the transform predicts no depth.
    """

    bev: Float[Tensor, "B C Y X"]
    depth_logits: Float[Tensor, "B N h w D"] | None


class ViewTransform(nn.Module):
    """Base class of view transforms.

    Attributes:
        channels: channels of the BEV features.
        stride: pixels per cell of the image features.
        kept: geometry that is kept while the rig stays, for inference; None to compute it anew.
    """

    channels: int
    stride: int
    kept: KeptGeometry | None = None

    def geometry_of(self, compute: Callable[..., _T], *inputs: Any) -> _T:
        """``compute(*inputs)``, or its kept result; a view transform keeps one function's results.

        Args:
            compute: function of the inputs alone.
            inputs: sizes, cameras and BEV augmentation.
        """
        return compute(*inputs) if self.kept is None else self.kept.get(compute, *inputs)

    def forward(
        self,
        features: Float[Tensor, "B N C h w"],
        image_size: tuple[int, int],
        cameras: Cameras,
        bev_from_ego: Float[Tensor, "B 4 4"],
        camera_mask: Bool[Tensor, "B N"] | None = None,
    ) -> BevFeatures:
        """Compute the BEV features of N cameras.

        Args:
            features: image features, ``stride`` pixels per cell; the feature map is centred in the
                image if it does not fill it.
            image_size: (H, W), pixels.
            cameras: (B, N) cameras of the network's input images.
            bev_from_ego: BEV augmentation.
            camera_mask: mask of the valid cameras, see ``Views``; None if all are valid. Absent
                cameras contribute nothing: their poses are NaN, and their features must not enter
                a network.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class ViewTransformConfig:
    """Base class of the settings of view transforms."""

    if TYPE_CHECKING:  # a field or property of every subclass that predicts depth

        @property
        def depth(self) -> DepthBinning:
            """Depth bins."""

    @property
    def predicts_depth(self) -> bool:
        """True if the transform outputs depth logits, over the bins of the field ``depth``."""
        return False

    @property
    def assumes_ground(self) -> bool:
        """True if the transform assumes that the ground is at z = 0 of the ego frame."""
        return False

    def build(self, in_channels: int, stride: int, grid: BevGrid) -> ViewTransform:
        """Build the transform for image features with these channels and this stride (pixels)."""
        raise ConfigError(f"{type(self).__name__} does not define the method build.")
