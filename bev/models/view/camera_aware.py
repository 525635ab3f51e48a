"""A depth net that knows each camera's calibration: how large a thing looks depends on the focal
length, and how far the ground is on the mounting.

After Li et al., BEVDepth (2022), section 4.2. Deviations, with reasons:

- Intrinsics and image transform are given as their product, which alone describes the network's
  image, in widths of that image: 23 numbers instead of 27, all of the order of 1 (``parameters``).
- By default no batch norm over them (``batch_norm``). In training it would hide what all cameras of
  a batch share, such as the BEV transform in a batch of one sample, and at inference show it.
- Of two linear layers with nothing between them (the end of the published MLP and the squeeze
  after it) one is kept; they give the same functions.
- The deformable convolution at the end of the depth branch is an option.

Of other lenses than pinholes the net is given the matrix alone, which holds near the axis, and not
their coefficients: those of one rig hardly differ. ``LiftSplatConfig.ray_features`` gives each
pixel's direction through any lens.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from bev.errors import ConfigError
from bev.geometry import Cameras
from bev.models.layers import BasicBlock, conv_bn_relu
from bev.models.view.depth_net import DepthContext, DepthNetConfig

PARAMETERS = 23
PUBLISHED_PARAMETERS = 27
_DEFORM_GROUPS = 4


@dataclass(frozen=True)
class CameraAwareDepthNetConfig(DepthNetConfig):
    """Settings of :class:`CameraAwareDepthNet`. Defaults are BEVDepth's unless said otherwise.

    Attributes:
        width: channels of both branches.
        blocks: residual blocks of the depth branch.
        aspp: after them, atrous spatial pyramid pooling (Chen et al., DeepLabv3 2017) with dropout
            0.5; in training it needs at least two images a batch.
        deformable: after that, a deformable convolution (published; off here).
        batch_norm: normalise the camera's parameters over the cameras of a batch, as published.
        parameters: "image" describes the network's image, see :func:`camera_parameters`;
            "published" gives BEVDepth's, see :func:`published_parameters`, which need the norm.
    """

    width: int = 512
    blocks: int = 3
    aspp: bool = True
    deformable: bool = False
    batch_norm: bool = False
    parameters: Literal["image", "published"] = "image"

    def __post_init__(self) -> None:
        if self.width < 1 or self.blocks < 0:
            raise ConfigError(
                f"A camera-aware depth net needs width >= 1 and blocks >= 0, not {self.width} and"
                f" {self.blocks}."
            )
        if self.parameters == "published" and not self.batch_norm:
            raise ConfigError(
                "depth_net.parameters = published are numbers of all sizes, which need the norm;"
                " set depth_net.batch_norm too."
            )
        if self.deformable and self.width % _DEFORM_GROUPS:
            raise ConfigError(
                f"depth_net.width = {self.width} must be a multiple of {_DEFORM_GROUPS} for the"
                " deformable convolution."
            )

    def build(self, inputs: int, bins: int, channels: int) -> "CameraAwareDepthNet":
        return CameraAwareDepthNet(self, inputs, bins, channels)


class CameraAwareDepthNet(nn.Module):
    """Two branches, for depth and for context, whose channels the camera's calibration weighs.

    What is said of a camera's pixels depends on that camera alone (with ``batch_norm``, at
    inference). ``cameras`` stand in the ego frame of their own time; an adjacent frame's way into
    the sample's frame is part of ``bev_from_ego``, of which only the axes' directions are seen.
    """

    def __init__(
        self, config: CameraAwareDepthNetConfig, inputs: int, bins: int, channels: int
    ) -> None:
        super().__init__()
        width, published = config.width, config.parameters == "published"
        self.parameters_of = published_parameters if published else camera_parameters
        numbers = PUBLISHED_PARAMETERS if published else PARAMETERS
        self.reduce = conv_bn_relu(inputs, width)
        self.norm = nn.BatchNorm1d(numbers) if config.batch_norm else nn.Identity()
        self.depth_gate, self.context_gate = _gate(numbers, width), _gate(numbers, width)
        layers: list[nn.Module] = [BasicBlock(width, width) for _ in range(config.blocks)]
        if config.aspp:
            from torchvision.models.segmentation.deeplabv3 import ASPP  # seconds to import

            layers.append(ASPP(width, atrous_rates=[6, 12, 18], out_channels=width))
        if config.deformable:
            layers.append(_Deformable(width))
        self.depth = nn.Sequential(*layers, nn.Conv2d(width, bins, 1))
        self.context = nn.Conv2d(width, channels, 1)

    def forward(
        self,
        features: Float[Tensor, "B N F h w"],
        image_size: tuple[int, int],
        cameras: Cameras,
        bev_from_ego: Float[Tensor, "B 4 4"],
    ) -> DepthContext:
        reduced = self.reduce(rearrange(features, "b n c h w -> (b n) c h w"))
        # In half precision a focal length has three digits: the gates are made in float32.
        with torch.autocast(features.device.type, enabled=False):
            numbers = self.parameters_of(image_size, cameras, bev_from_ego)
            numbers = self.norm(rearrange(numbers, "b n p -> (b n) p"))
            depth_gate, context_gate = (
                rearrange(gate(numbers), "bn c -> bn c 1 1").to(reduced.dtype)
                for gate in (self.depth_gate, self.context_gate)
            )
        logits, context = self.depth(reduced * depth_gate), self.context(reduced * context_gate)
        return DepthContext(
            rearrange(logits, "(b n) d h w -> b n h w d", b=len(features)),
            rearrange(context, "(b n) c h w -> b n c h w", b=len(features)),
        )


@torch.no_grad()
def camera_parameters(
    image_size: tuple[int, int], cameras: Cameras, bev_from_ego: Float[Tensor, "B 4 4"]
) -> Float[Tensor, "B N 23"]:
    """What a depth net is told of each camera, float32.

    6 numbers: the upper rows of ``image_from_camera``, of the network's image after augmentation,
    in widths of that image. 12: the upper rows of ``ego_from_camera``, translation in metres. 5:
    the linear part of ``bev_from_ego`` in the plane (xx, xy, yx, yy) and along z.
    """
    image = cameras.image_from_camera.float()[..., :2, :] / image_size[1]
    return torch.cat([image.flatten(2), _pose(cameras), _plane(cameras, bev_from_ego)], dim=-1)


@torch.no_grad()
def published_parameters(
    image_size: tuple[int, int], cameras: Cameras, bev_from_ego: Float[Tensor, "B 4 4"]
) -> Float[Tensor, "B N 27"]:
    """What BEVDepth's depth net is told of each camera, float32, in the published order.

    Of the intrinsics fx, fy, cx, cy (original pixels); the upper rows of ``image_from_original``;
    the five numbers of ``bev_from_ego`` and the twelve of ``ego_from_camera`` as in
    :func:`camera_parameters`. The published code looks up an adjacent frame's numbers in the
    sample's own; here they are that frame's, whose turn since then shows in the five.
    """
    rows, columns = [0, 1, 0, 1], [0, 1, 2, 2]
    lens = cameras.intrinsics.float()[..., rows, columns]
    image = cameras.image_from_original.float()[..., :2, :].flatten(2)
    return torch.cat([lens, image, _plane(cameras, bev_from_ego), _pose(cameras)], dim=-1)


def _pose(cameras: Cameras) -> Float[Tensor, "B N 12"]:
    return cameras.ego_from_camera.float()[..., :3, :].flatten(2)


def _plane(cameras: Cameras, bev_from_ego: Float[Tensor, "B 4 4"]) -> Float[Tensor, "B N 5"]:
    plane, up = bev_from_ego.float()[:, :2, :2], bev_from_ego.float()[:, 2, 2, None]
    numbers = torch.cat([plane.flatten(1), up], dim=-1)
    return numbers.unsqueeze(1).expand(-1, cameras.intrinsics.shape[1], -1)


def _gate(numbers: int, width: int) -> nn.Sequential:
    """From the camera's parameters to a weight between 0 and 1 for each channel."""
    return nn.Sequential(
        nn.Linear(numbers, width), nn.ReLU(inplace=True),
        nn.Linear(width, width), nn.ReLU(inplace=True),
        nn.Linear(width, width), nn.Sigmoid(),
    )  # fmt: skip


class _Deformable(nn.Module):
    """3x3 convolution at learnt offsets (Dai et al. 2017), at first at none; in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.offset = nn.Conv2d(width, 18, 3, padding=1)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)
        from torchvision.ops import DeformConv2d

        self.convolution = DeformConv2d(
            width, width, 3, padding=1, groups=_DEFORM_GROUPS, bias=False
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            return self.convolution(x, self.offset(x))
