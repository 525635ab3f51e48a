"""A detector as a graph of plain tensors, for exporters."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils import _pytree

from bev.errors import ConfigError
from bev.lab.deploy.decoding import Decoding
from bev.lab.deploy.pooling import Pooling
from bev.models import Detector
from bev.models.heads.base import Features
from bev.models.heads.center.head import CenterHead
from bev.models.heads.center.targets import TaskOutput
from bev.models.heads.segmentation import SegmentationHead
from bev.models.view.camera_aware import CameraAwareDepthNet, CameraAwareDepthNetConfig
from bev.models.view.depth_net import ConvDepthNet
from bev.models.view.lift_splat import LiftSplat

Arrays = Mapping[str, Tensor]
"""Calibration arrays of one time and one pass, see ``bev.lab.deploy.plan``."""


class DetectorGraph(nn.Module):
    """A detector whose inputs and outputs are tensors: images and calibration arrays to results.

    Networks are computed in the precision of their weights, lifting and decoding in float32.

    Args:
        detector: trained detector in evaluation mode.
        pooling: form of the pooling.
        decoding: decoding of the boxes in the graph; None for maps.
        passes: 2 with flip test-time augmentation, else 1.
        fixed: calibration arrays of each pass, as constants; None if they are inputs.
        maps: output the head's maps beside the decoded boxes.

    Raises:
        ConfigError: if a part of the detector has no graph of plain tensors.
    """

    def __init__(
        self,
        detector: Detector,
        pooling: Pooling,
        decoding: Decoding | None,
        passes: int,
        fixed: Sequence[Arrays] | None = None,
        maps: bool = False,
    ) -> None:
        super().__init__()
        check_parts(detector)
        self.detector, self.pooling, self.decoding = detector, pooling, decoding
        self.passes, self.maps = passes, maps or decoding is None
        self.view = cast(LiftSplat, detector.view)
        self.names = array_names(detector, pooling)
        self.fixed = fixed is not None
        for number, arrays in enumerate(fixed or ()):
            for name in self.names:
                self.register_buffer(f"fixed_{number}_{name}", arrays[name], persistent=False)

    def forward(
        self,
        images: UInt8[Tensor, "B N 3 H W"],
        calibration: Sequence[Arrays] = (),
        adjacent: Sequence[Mapping[str, Any]] = (),
    ) -> dict[str, Tensor]:
        """Compute the results of a batch.

        Args:
            images: images, RGB.
            calibration: arrays of each pass; empty if they are constants.
            adjacent: of each adjacent frame, ``features`` (B, passes, N, C, h, w) that the graph
                returned for it, ``seconds`` (B,), and ``calibration`` of each pass.
        """
        detector, cameras = self.detector, images.shape[1]
        pixels = images.to(torch.float32)  # first: uint8 is a type of inputs only for some runtimes
        if self.passes == 2:
            pixels = torch.cat([pixels, pixels.flip(-1)])
        features = detector.neck(detector.backbone(pixels.flatten(0, 1)))
        features = features.unflatten(0, (self.passes, -1, cameras))
        bev = self.lift(features, self._arrays() if self.fixed else calibration)
        earlier = [
            self.lift(past["features"].transpose(0, 1), past["calibration"]) for past in adjacent
        ]
        seconds = [torch.cat([past["seconds"]] * self.passes) for past in adjacent]
        encoded = detector.encoder(detector.temporal(bev, earlier, seconds))
        found = Features(encoded, features.flatten(0, 1), None)
        results: dict[str, Tensor] = {}
        for name in main_heads(detector):
            head = getattr(detector, name)
            output = _pytree.tree_map(Tensor.float, head(found))
            if self.passes == 2:
                output = head.averaged(*(_part(output, images.shape[0], n) for n in (0, 1)))
            results |= self._results(head, name, output)
        if adjacent:
            results["features"] = features.transpose(0, 1)
        return results

    def lift(
        self, features: Float[Tensor, "P B N F h w"], passes: Sequence[Arrays]
    ) -> Float[Tensor, "PB C Y X"]:
        """Lift image features into the BEV by the calibration arrays of each pass."""
        logits, context = _depth_context(self.view.depth_net, features, passes)
        if logits is None:
            shape = (*context.shape[:3], self.view.config.depth.bins, *context.shape[4:])
            logits = context.new_zeros(1).expand(shape)
        depth, context = logits.float().softmax(dim=3), context.float()
        planes, rows, width = self.view.grid.shape
        channels = planes * self.view.config.channels
        found = []
        for number, arrays in enumerate(passes):
            entries = columns(depth[number], context[number], arrays["mask"])
            cells = self.pooling(entries, arrays)
            found.append(cells.reshape(-1, rows, width, channels))
        return torch.cat(found).permute(0, 3, 1, 2).to(features.dtype)

    def _arrays(self) -> list[dict[str, Tensor]]:
        return [
            {name: getattr(self, f"fixed_{number}_{name}") for name in self.names}
            for number in range(self.passes)
        ]

    def _results(self, head: nn.Module, name: str, output: Any) -> dict[str, Tensor]:
        if isinstance(head, CenterHead):
            found = {} if self.decoding is None else self.decoding(head, output)
            if self.maps:
                found |= {
                    f"task{number}_{part}": value
                    for number, task in enumerate(output)
                    for part, value in task._asdict().items()
                    if value.shape[1]
                }
            return found
        return {name: output.sigmoid()}


def columns(
    depth: Float[Tensor, "B N D h w"],
    context: Float[Tensor, "B N C h w"],
    mask: Float[Tensor, "N w K D h"],
) -> Float[Tensor, "B E C"]:
    """Sum the context of each image column, weighted by depth, see ``bev.lab.deploy.plan``."""
    weights = depth.permute(0, 1, 4, 2, 3).unsqueeze(3) * mask
    sums = weights.flatten(3, 4) @ context.permute(0, 1, 4, 3, 2)
    return sums.flatten(1, 3)


def check_parts(detector: Detector) -> None:
    """Check that every part of a detector can be a graph; raises ConfigError."""
    view = detector.view
    if not isinstance(view, LiftSplat):
        raise ConfigError(
            f"The view transform {type(view).__name__} cannot be exported; only LiftSplat can."
        )
    net = view.depth_net
    if not isinstance(net, ConvDepthNet | CameraAwareDepthNet):
        raise ConfigError(
            f"The depth net {type(net).__name__} cannot be exported; ConvDepthNet and"
            " CameraAwareDepthNet can."
        )
    settings = view.config.depth_net
    if isinstance(settings, CameraAwareDepthNetConfig) and settings.deformable:
        raise ConfigError(
            "A deformable convolution (model.view.depth_net.deformable) is no standard operator"
            " of all runtimes; export a model without it."
        )
    for name in main_heads(detector):
        head = getattr(detector, name)
        if not isinstance(head, CenterHead | SegmentationHead):
            raise ConfigError(
                f"Head model.{name} ({type(head).__name__}) cannot be exported; CenterHead and"
                " SegmentationHead can."
            )


def main_heads(detector: Detector) -> list[str]:
    """Names of the heads that predict results; auxiliary ones serve training alone."""
    return [name for name, head in detector.config.heads.items() if not head.auxiliary]


def center_head(detector: Detector) -> CenterHead | None:
    """The head that detects boxes; None for a detector without one."""
    heads = [getattr(detector, name) for name in main_heads(detector)]
    return next((head for head in heads if isinstance(head, CenterHead)), None)


def array_names(detector: Detector, pooling: Pooling) -> list[str]:
    """Names of the calibration arrays that the graph of a detector reads."""
    view = cast(LiftSplat, detector.view)
    names = ["mask", *pooling.names]
    if isinstance(view.depth_net, CameraAwareDepthNet):
        names.append("parameters")
    return names + ["rays"] * view.config.ray_features


def _part(output: Any, batch: Any, number: int) -> Any:
    """Output of one of two passes, whose maps are joined along the batch."""
    if isinstance(output, Tensor):
        return output.reshape(2, batch, *output.shape[1:])[number]
    return [TaskOutput(*(_part(value, batch, number) for value in task)) for task in output]


def _depth_context(
    net: nn.Module, features: Float[Tensor, "P B N F h w"], passes: Sequence[Arrays]
) -> tuple[Tensor | None, Tensor]:
    """Apply the depth net; returns logits (P, B, N, D, h, w), None without depth, and context."""
    shape = (len(passes), -1, features.shape[2])
    like, rays = features.dtype, None
    if "rays" in passes[0]:
        rays = torch.stack([arrays["rays"] for arrays in passes]).to(like)
    if isinstance(net, ConvDepthNet):
        both = _sequential(net.layers, features, rays).unflatten(0, shape)
        logits, context = both.split([net.bins, both.shape[3] - net.bins], dim=3)
        return (logits if net.bins else None), context
    net = cast(CameraAwareDepthNet, net)
    reduced = _sequential(net.reduce, features, rays).unflatten(0, shape)
    numbers = net.norm(torch.cat([arrays["parameters"] for arrays in passes]).to(like))
    depth, context = (
        branch((reduced * gate(numbers).view(shape[0], 1, shape[2], -1, 1, 1)).flatten(0, 2))
        for branch, gate in ((net.depth, net.depth_gate), (net.context, net.context_gate))
    )
    return depth.unflatten(0, shape), context.unflatten(0, shape)


def _sequential(
    layers: nn.Sequential, features: Float[Tensor, "P B N F h w"], rays: Tensor | None
) -> Float[Tensor, "PBN C h w"]:
    """Apply layers to features with geometry (P, N, G, h, w) as further channels.

    The first convolution is linear, so that of the geometry is computed once for all samples.
    """
    out = features.flatten(0, 2)
    if rays is None:
        return layers(out)
    first, *rest = layers
    conv, shape = cast(nn.Conv2d, first), (rays.shape[0], -1, rays.shape[1])
    own = features.shape[3]
    weights = conv.weight[:, :own], conv.weight[:, own:]
    out = F.conv2d(out, weights[0], None, conv.stride, conv.padding).unflatten(0, shape)
    fixed = F.conv2d(rays.flatten(0, 1), weights[1], conv.bias, conv.stride, conv.padding)
    out = (out + fixed.unflatten(0, (shape[0], 1, shape[2]))).flatten(0, 2)
    for layer in rest:
        out = layer(out)
    return out
