"""Predicted depth and its supervision, over the network's images."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bev.errors import ConfigError, DataError
from bev.models import Detector
from bev.models.heads.depth import nearest_depth
from bev.visualization.internals.panels import (
    Panel,
    Scale,
    camera_rows,
    camera_title,
    draw_panels,
    network_image,
    over_image,
)
from bev.visualization.internals.run import Sample, lift_of


def expected_depth(
    logits: Float[Tensor, "*pixels D"], depths: Float[Tensor, " D"]
) -> Float[Tensor, "*pixels"]:
    """Mean of the predicted depth distribution, metres.

    Args:
        logits: depth logits before the softmax.
        depths: depth of each bin, metres.
    """
    return logits.float().softmax(dim=-1) @ depths.to(logits.device).float()


def depth_entropy(logits: Float[Tensor, "*pixels D"]) -> Float[Tensor, "*pixels"]:
    """Entropy of the predicted depth distribution, bits: 0 if certain, log2(D) if uniform."""
    return torch.distributions.Categorical(logits=logits.float()).entropy() / np.log(2)


def draw_depth(sample: Sample) -> UInt8[np.ndarray, "H W 3"]:
    """Draw the expected depth of each image and, below it, the entropy of its distribution.

    Raises:
        ConfigError: if the view transform predicts no depth.
    """
    model, batch = sample.model, sample.batch
    logits = _logits(sample)[0]
    bins = logits.shape[-1]
    depth = Scale(0.0, _farthest(model), "m expected depth", "viridis", reverse=True)
    entropy = Scale(0.0, float(np.log2(bins)), f"bits entropy, of {bins} bins")
    fields = [
        (depth, expected_depth(logits, _bin_depths(model))),
        (entropy, depth_entropy(logits)),
    ]
    panels = []
    for index in range(len(sample.frame.cameras)):
        image = network_image(batch, index, sample.camera_width)
        parts = [
            over_image(image, scale.colors(field[index]), batch.image_size, model.view.stride)
            for scale, field in fields
        ]
        panels.append(Panel(camera_title(sample.frame, index), np.concatenate(parts)))
    title = f"Predicted depth{' at the time of the sample' if batch.adjacent else ''}"
    scales = [scale for scale, _ in fields]
    return draw_panels(sample, camera_rows(sample.frame, panels), scales, title=title)


def draw_depth_targets(sample: Sample) -> UInt8[np.ndarray, "H W 3"]:
    """Draw the targets of depth supervision: the depth bin of each feature cell.

    Raises:
        ConfigError: if the view transform predicts no depth.
        DataError: if the batch has no lidar points.
    """
    model, frame, batch = sample.model, sample.frame, sample.batch
    if not len(batch.lidar[0]):
        raise DataError(
            f"Depth targets need lidar points, and sample {frame.token} has none; choose a sample"
            " with a lidar file."
        )
    logits = _logits(sample)
    size, stride = (logits.shape[2], logits.shape[3]), model.view.stride
    nearest = nearest_depth(batch.lidar, batch.views.cameras, batch.image_size, size, stride)[0]
    index = model.config.view.depth.index_of(nearest)
    known = index >= 0
    centers = model.config.view.depth.centers(index.device)[index.clamp(min=0)]
    scale = Scale(0.0, _farthest(model), "m, centre of the bin", "viridis", reverse=True)
    panels = []
    for camera in range(len(frame.cameras)):
        image = network_image(batch, camera, sample.camera_width)
        opacity = 0.9 * known[camera].cpu().numpy()
        colors = scale.colors(centers[camera])
        panel = over_image(image, colors, batch.image_size, stride, opacity)
        panels.append(Panel(camera_title(frame, camera), panel))
    note = f"{int(known.sum())} of {known.numel()} feature cells have a target"
    rows = camera_rows(frame, panels)
    return draw_panels(sample, rows, [scale], title="Depth targets", note=note)


def _logits(sample: Sample) -> Float[Tensor, "B N h w D"]:
    logits, view = sample.internals.view.depth_logits, sample.model.config.view
    if logits is None:
        raise ConfigError(
            f"The view transform {type(view).__name__} predicts no depth, so there is none to draw;"
            " choose a model of lift-splat with a depth net."
        )
    return logits


def _bin_depths(model: Detector) -> Float[Tensor, " D"]:
    lift = lift_of(model.view)
    return model.config.view.depth.centers() if lift is None else lift.bin_depths()


def _farthest(model: Detector) -> float:
    return float(model.config.view.depth.edges()[-1])
