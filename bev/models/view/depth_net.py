"""What turns image features into a distribution over depth and a context vector, per pixel.

Three choices: a 1x1 convolution (Lift-Splat-Shoot, BEVDet), no distribution at all, and one that
knows the camera's calibration (BEVDepth, in ``bev.models.view.camera_aware``).
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from bev.geometry import Cameras
from bev.models.layers import conv_bn_relu


class DepthContext(NamedTuple):
    """What a depth net returns.

    Attributes:
        logits: (B, N, h, w, D) before the softmax over D, bins last as the pooling reads them; None
            where no depth is predicted.
        context: (B, N, C, h, w).
    """

    logits: Float[Tensor, "B N h w D"] | None
    context: Float[Tensor, "B N C h w"]


@dataclass(frozen=True)
class DepthNetConfig:
    """Common base of the depth nets' settings.

    Attributes:
        predicts_depth: whether there are logits to supervise and to measure.
    """

    predicts_depth: ClassVar[bool] = True

    def build(self, inputs: int, bins: int, channels: int) -> nn.Module:
        """Build for features of ``inputs`` channels, D = ``bins`` and C = ``channels``.

        The module takes (features (B, N, inputs, h, w), image_size (H, W), cameras (B, N),
        bev_from_ego (B, 4, 4)), the arguments of a view transform, and returns a
        :class:`DepthContext`.
        """
        raise TypeError(f"{type(self).__name__} does not say what it builds.")


@dataclass(frozen=True)
class ConvDepthNetConfig(DepthNetConfig):
    """Settings of :class:`ConvDepthNet` with a depth distribution.

    Attributes:
        hidden: width of a hidden layer (1x1 convolution); 0 for none, as published.
    """

    hidden: int = 0

    def build(self, inputs: int, bins: int, channels: int) -> "ConvDepthNet":
        return ConvDepthNet(inputs, bins, channels, self.hidden)


@dataclass(frozen=True)
class UniformDepthConfig(DepthNetConfig):
    """No depth distribution, a context alone: every bin weighs 1 / D.

    Each pixel's context is smeared evenly along its ray; what a model gains beyond it is what
    depth is worth.

    Attributes:
        hidden: width of a hidden layer (1x1 convolution); 0 for none.
    """

    predicts_depth: ClassVar[bool] = False
    hidden: int = 0

    def build(self, inputs: int, bins: int, channels: int) -> "ConvDepthNet":
        return ConvDepthNet(inputs, 0, channels, self.hidden)


class ConvDepthNet(nn.Module):
    """1x1 convolutions to D + C channels (Philion and Fidler 2020, section 3.1).

    Args:
        inputs: channels of the features.
        bins: D; 0 for no distribution.
        channels: C.
        hidden: width of a hidden layer; 0 for none.
    """

    def __init__(self, inputs: int, bins: int, channels: int, hidden: int = 0) -> None:
        super().__init__()
        self.bins = bins
        layers = [*conv_bn_relu(inputs, hidden, kernel=1)] if hidden else []
        self.layers = nn.Sequential(*layers, nn.Conv2d(hidden or inputs, bins + channels, 1))

    def forward(
        self,
        features: Float[Tensor, "B N F h w"],
        image_size: tuple[int, int],
        cameras: Cameras,
        bev_from_ego: Float[Tensor, "B 4 4"],
    ) -> DepthContext:
        both = self.layers(rearrange(features, "b n c h w -> (b n) c h w"))
        both = rearrange(both, "(b n) c h w -> b n c h w", b=len(features))
        logits, context = both.split([self.bins, both.shape[2] - self.bins], dim=2)
        logits = rearrange(logits, "b n d h w -> b n h w d")
        return DepthContext(logits if self.bins else None, context)
