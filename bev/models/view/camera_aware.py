"""Camera-aware depth net, which takes the calibration of each camera as an additional input.

The apparent size of objects depends on the focal length, and the depth of the ground on the
mounting of the camera. After Li et al., BEVDepth (2022), section 4.2. Deviations, with reasons:

- Intrinsics and image transform are input as their product, which fully describes the network's
  input image, in units of the image width: 23 parameters instead of 27, all of order 1
  (``parameters``).
- By default there is no batch norm over the parameters (``batch_norm``). In training, a batch norm
  would remove everything that all cameras of a batch share, such as the BEV transform in a batch of
  one sample, but not at inference.
- One of two consecutive linear layers without an activation in between (the end of the published
  MLP and the following squeeze) is dropped; this does not restrict the functions.
- The deformable convolution at the end of the depth branch is optional.

For lenses other than pinholes, the net takes the matrix only, which is valid near the optical axis,
and not the lens coefficients, which hardly differ within a rig. ``LiftSplatConfig.ray_features``
inputs the direction of each pixel for any lens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from bev.bounds import Count, Natural, check_bounds
from bev.geometry import Cameras
from bev.models.layers import BasicBlock, conv_bn_relu
from bev.models.view.depth_net import DepthContext, DepthNetConfig

PARAMETERS = 23
PUBLISHED_PARAMETERS = 27
_DEFORM_GROUPS = 4


@dataclass(frozen=True)
class CameraAwareDepthNetConfig(DepthNetConfig):
    """Settings of :class:`CameraAwareDepthNet`; the defaults follow BEVDepth unless noted.

    Attributes:
        width: channels of both branches.
        blocks: number of residual blocks in the depth branch.
        aspp: add atrous spatial pyramid pooling (Chen et al., DeepLabv3 2017) with dropout 0.5
            after the blocks; training then needs at least two images per batch.
        aspp_width: channels of the branches of the pyramid; 0 for ``width``, as in BEVDepth.
        deformable: add a deformable convolution at the end of the depth branch (published; off
            here).
        batch_norm: apply a batch norm to the camera parameters, as published.
        parameters: "image" for parameters of the network's input image, see
            :func:`camera_parameters`; "published" for the parameters of BEVDepth, see
            :func:`published_parameters`, which require ``batch_norm``.
    """

    width: Count = 512
    blocks: Natural = 3
    aspp: bool = True
    aspp_width: Natural = 0
    deformable: bool = False
    batch_norm: bool = False
    parameters: Literal["image", "published"] = "image"

    def __post_init__(self) -> None:
        check_bounds(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about settings that do not fit together."""
        if self.parameters == "published" and not self.batch_norm:
            yield (
                "depth_net.parameters = published gives parameters of different magnitudes, which"
                " need a batch norm; set depth_net.batch_norm too."
            )
        if self.deformable and self.width % _DEFORM_GROUPS:
            yield (
                f"depth_net.width = {self.width} must be a multiple of {_DEFORM_GROUPS} for the"
                " deformable convolution."
            )

    def build(self, inputs: int, bins: int, channels: int) -> "CameraAwareDepthNet":
        return CameraAwareDepthNet(self, inputs, bins, channels)


class CameraAwareDepthNet(nn.Module):
    """Depth branch and context branch, with channel weights computed from the calibration.

    The output for a camera depends on that camera only (with ``batch_norm``, only at inference).
    ``cameras`` are given in the ego frame at their own time; for adjacent frames, ``bev_from_ego``
    includes the ego motion to the sample's frame. Only the linear part of ``bev_from_ego`` is used.
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
            layers.append(_aspp(width, config.aspp_width or width))
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
        # Half precision would round focal lengths to three digits: compute the gates in float32.
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
    """Calibration of each camera as 23 parameters, float32.

    6 parameters are the first two rows of ``image_from_camera`` for the augmented input image, in
    units of the image width; 12 are the first three rows of ``ego_from_camera``, with the
    translation in metres; 5 are the linear part of ``bev_from_ego`` in the plane (xx, xy, yx, yy)
    and along z.
    """
    image = cameras.image_from_camera.float()[..., :2, :] / image_size[1]
    return torch.cat([image.flatten(2), _pose(cameras), _plane(cameras, bev_from_ego)], dim=-1)


@torch.no_grad()
def published_parameters(
    image_size: tuple[int, int], cameras: Cameras, bev_from_ego: Float[Tensor, "B 4 4"]
) -> Float[Tensor, "B N 27"]:
    """Calibration of each camera as the 27 parameters of BEVDepth, float32, in published order.

    The parameters are fx, fy, cx, cy of the intrinsics (original pixels); the first two rows of
    ``image_from_original``; and the 5 parameters of ``bev_from_ego`` and 12 of ``ego_from_camera``
    as in :func:`camera_parameters`. For adjacent frames, the published code uses the parameters of
    the sample; here the parameters of the adjacent frame are used, and the 5 parameters include the
    rotation between the two ego frames.
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
    """MLP from camera parameters to a weight in (0, 1) for each channel."""
    return nn.Sequential(
        nn.Linear(numbers, width), nn.ReLU(inplace=True),
        nn.Linear(width, width), nn.ReLU(inplace=True),
        nn.Linear(width, width), nn.Sigmoid(),
    )  # fmt: skip


def _aspp(width: int, branch: int) -> nn.Module:
    """Atrous spatial pyramid pooling with ``branch`` channels a branch and ``width`` outputs."""
    from torchvision.models.segmentation.deeplabv3 import ASPP  # seconds to import

    aspp = ASPP(width, atrous_rates=[6, 12, 18], out_channels=branch)
    if branch != width:
        convolution, _, *rest = aspp.project
        joined = nn.Conv2d(convolution.in_channels, width, 1, bias=False)
        aspp.project = nn.Sequential(joined, nn.BatchNorm2d(width), *rest)
    return aspp


class _Deformable(nn.Module):
    """Deformable 3x3 convolution (Dai et al. 2017) in float32; offsets are initialised to 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.offset = nn.Conv2d(width, 18, 3, padding=1)
        for parameter in self.offset.parameters():
            nn.init.zeros_(parameter)
        from torchvision.ops import DeformConv2d

        self.convolution = DeformConv2d(
            width, width, 3, padding=1, groups=_DEFORM_GROUPS, bias=False
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            return self.convolution(x, self.offset(x))
