"""Depth nets: image features to a depth distribution and a context vector per pixel.

There are three variants: a 1x1 convolution (Lift-Splat-Shoot, BEVDet), a uniform depth
distribution, and the camera-aware net of BEVDepth (in ``bev.models.view.camera_aware``).
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from bev.bounds import Natural
from bev.geometry import Cameras
from bev.models.layers import conv_bn_relu


class DepthContext(NamedTuple):
    """Output of a depth net.

    Attributes:
        logits: (B, N, h, w, D) depth logits before the softmax over D, bins last as the pooling
            needs them; None if no depth is predicted.
        context: (B, N, C, h, w) context features.
    """

    logits: Float[Tensor, "B N h w D"] | None
    context: Float[Tensor, "B N C h w"]


@dataclass(frozen=True)
class DepthNetConfig:
    """Base class of the settings of depth nets.

    Attributes:
        predicts_depth: whether the net outputs depth logits, for supervision and evaluation.
    """

    predicts_depth: ClassVar[bool] = True

    def build(self, inputs: int, bins: int, channels: int) -> nn.Module:
        """Build the net for ``inputs`` feature channels, D = ``bins`` and C = ``channels``.

        The module takes (features (B, N, inputs, h, w), image_size (H, W), cameras (B, N),
        bev_from_ego (B, 4, 4)), the arguments of a view transform, and returns a
        :class:`DepthContext`.
        """
        raise TypeError(f"{type(self).__name__} does not define the method build.")


@dataclass(frozen=True)
class ConvDepthNetConfig(DepthNetConfig):
    """Settings of :class:`ConvDepthNet` with a depth distribution.

    Attributes:
        hidden: channels of a hidden layer (1x1 convolution); 0 for none, as published.
    """

    hidden: Natural = 0

    def build(self, inputs: int, bins: int, channels: int) -> "ConvDepthNet":
        return ConvDepthNet(inputs, bins, channels, self.hidden)


@dataclass(frozen=True)
class UniformDepthConfig(DepthNetConfig):
    """Settings of :class:`ConvDepthNet` without depth prediction: every bin has weight 1 / D.

    The context of each pixel is spread evenly along its ray. This is the baseline for measuring the
    benefit of predicted depth.

    Attributes:
        hidden: channels of a hidden layer (1x1 convolution); 0 for none.
    """

    predicts_depth: ClassVar[bool] = False
    hidden: Natural = 0

    def build(self, inputs: int, bins: int, channels: int) -> "ConvDepthNet":
        return ConvDepthNet(inputs, 0, channels, self.hidden)


class ConvDepthNet(nn.Module):
    """1x1 convolutions to D + C channels (Philion and Fidler 2020, section 3.1).

    Args:
        inputs: input channels.
        bins: number of depth bins D; 0 for no depth distribution.
        channels: context channels C.
        hidden: channels of a hidden layer; 0 for none.
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
