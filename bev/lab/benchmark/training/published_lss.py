"""Lift-Splat-Shoot's network with the layers of its authors' code, in stock PyTorch.

To compare the speed of ``configs/lss_seg_effb0.py`` with: layers, shapes and order of operations
are those of the published code (Philion and Fidler 2020), written anew. The image network is timm's
EfficientNet-B0, which has the published layers; tensors are channels-first in memory, as published.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bev.config import Experiment
from bev.data.batch import Batch
from bev.errors import ConfigError
from bev.geometry import BevGrid
from bev.lab.benchmark.published import prefix_sum
from bev.models import BackboneConfig, LiftSplatConfig, SegmentationHeadConfig

_CONTEXT, _FUSED, _POSITIVE = 64, 512, 2.13


class PublishedLss(nn.Module):
    """Images to BEV logits of one layer, with the loss of the published code.

    Raises:
        ConfigError: if the config is not one of lift-splat segmentation.
    """

    def __init__(self, config: Experiment) -> None:
        super().__init__()
        model = config.model
        lift, head = model.view, model.segmentation
        if not (isinstance(lift, LiftSplatConfig) and isinstance(head, SegmentationHeadConfig)):
            raise ConfigError("The published network of Lift-Splat-Shoot needs a LiftSplatConfig.")
        if len(head.layers) != 1:
            raise ConfigError("The published network of Lift-Splat-Shoot segments one layer.")
        self.head, self.labels, self.grid = head, model.label_space, model.grid
        self.depths = lift.depth.edges()[:-1]
        name = "tf_efficientnet_b0"
        self.trunk = BackboneConfig(name, pretrained=False, strides=(16, 32)).build()
        self.up = _Up(sum(self.trunk.channels), _FUSED, 2)
        self.depth_net = nn.Conv2d(_FUSED, len(self.depths) + _CONTEXT, 1)
        self.encoder = _BevEncoder(_CONTEXT, len(head.layers))

    def forward(self, batch: Batch) -> Tensor:
        """BEV logits (B, 1, Y, X)."""
        images = batch.views.images
        normalised = (images.flatten(0, 1) - self.trunk.mean) / self.trunk.std
        fine, coarse = self.trunk.body(normalised)
        both = self.depth_net(self.up(coarse, fine)).unflatten(0, images.shape[:2])
        logits, context = both.split([len(self.depths), _CONTEXT], dim=2)
        points = self._points(batch, (both.shape[-2], both.shape[-1]))
        pooled = prefix_sum(logits.softmax(dim=2), context, points, cast(BevGrid, self.grid))
        return self.encoder(pooled)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Binary cross-entropy against the footprints of the boxes."""
        truth = self.head.ground_truth(batch.polygons, self.grid, self.labels).float()
        weight = torch.tensor(_POSITIVE, device=truth.device)
        loss = F.binary_cross_entropy_with_logits(self(batch), truth, pos_weight=weight)
        return {"bev": loss}

    def _points(self, batch: Batch, size: tuple[int, int]) -> Tensor:
        """(B, N, D, h, w, 3) points of the frustum in the ego frame, undone step by step."""
        (height, width), (rows, columns) = batch.image_size, size
        device, cameras = batch.bev_from_ego.device, batch.views.cameras
        x = torch.linspace(0, width - 1, columns, device=device)
        y = torch.linspace(0, height - 1, rows, device=device)
        depth, y, x = torch.meshgrid(self.depths.to(device), y, x, indexing="ij")
        affine = cameras.image_from_original[:, :, None, None, None]
        shift = torch.stack([affine[..., 0, 2], affine[..., 1, 2]], dim=-1)
        pixels = torch.stack([x, y], dim=-1) - shift
        pixels = (torch.inverse(affine[..., :2, :2]) @ pixels.unsqueeze(-1)).squeeze(-1)
        on_plane = torch.cat(
            [pixels * depth[..., None], depth.expand(pixels.shape[:-1])[..., None]], -1
        )
        turn = cameras.ego_from_camera[..., :3, :3] @ torch.inverse(cameras.intrinsics)
        turned = turn[:, :, None, None, None] @ on_plane.unsqueeze(-1)
        return turned.squeeze(-1) + cameras.ego_from_camera[:, :, None, None, None, :3, 3]


def _conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Up(nn.Module):
    """Bilinear upsampling, concatenation with a finer map, and two 3x3 convolutions."""

    def __init__(self, inputs: int, outputs: int, factor: int) -> None:
        super().__init__()
        self.up = nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=True)
        self.conv = nn.Sequential(_conv(inputs, outputs), _conv(outputs, outputs))

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        return self.conv(torch.cat([fine, self.up(coarse)], dim=1))


class _BevEncoder(nn.Module):
    """ResNet-18 to its third stage, without max pooling, and back to the resolution of the grid."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        from torchvision.models import resnet18  # seconds to import

        trunk = resnet18(zero_init_residual=True)
        stem = nn.Conv2d(inputs, 64, 7, stride=2, padding=3, bias=False)
        self.stem = nn.Sequential(stem, trunk.bn1, trunk.relu)
        self.first, self.second, self.third = trunk.layer1, trunk.layer2, trunk.layer3
        self.up = _Up(64 + 256, 256, 4)
        self.out = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            _conv(256, 128),
            nn.Conv2d(128, outputs, 1),
        )

    def forward(self, bev: Tensor) -> Tensor:
        fine = self.first(self.stem(bev))
        return self.out(self.up(self.third(self.second(fine)), fine))
