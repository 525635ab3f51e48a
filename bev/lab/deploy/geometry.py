"""Calibration arrays of a batch, by the geometry of the package, for any lens."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bev.data.batch import Batch
from bev.geometry import Cameras, feature_pixels
from bev.lab.deploy.plan import arrange
from bev.models import Detector
from bev.models.flip_tta import flipped
from bev.models.view.camera_aware import CameraAwareDepthNet
from bev.models.view.lift_splat import LiftSplat, frustum_points, ground_nearness, ray_features


def geometry_of(detector: Detector, image_size: tuple[int, int]) -> dict[str, Any]:
    """Plain data from which ``bev.lab.deploy.plan`` computes calibration arrays."""
    view = cast(LiftSplat, detector.view)
    pixels = _pixels(detector, image_size)
    net = view.depth_net
    parameters = net.parameters_of.__name__ if isinstance(net, CameraAwareDepthNet) else ""
    return {
        "image_size": list(image_size),
        "columns": pixels[0, :, 0].tolist(),
        "rows": pixels[:, 0, 1].tolist(),
        "depths": view.bin_depths().tolist(),
        "grid": {axis: list(getattr(view.grid, axis)) for axis in "xyz"},
        "truncate": view.config.truncate,
        "parameters": "published" if parameters.startswith("published") else "image",
    }


def graph_inputs(detector: Detector, batch: Batch, names: Collection[str]) -> dict[str, np.ndarray]:
    """Inputs of a graph for a batch, by name; calibration arrays are those of its first sample.

    Args:
        detector: detector of the graph.
        batch: batch as the data loader makes it.
        names: names of the inputs of the graph; features of adjacent frames are left out.
    """
    found: dict[str, Tensor] = {"images": batch.views.images}
    passes = 2 if any(name.endswith("_flipped") for name in names) else 1
    frames = {} if "mask" not in names else {"": batch_arrays(detector, batch, passes)}
    for number, views in enumerate(batch.adjacent):
        frames[f"_adjacent{number}"] = adjacent_arrays(detector, batch, number, passes)
        found[f"seconds_adjacent{number}"] = views.seconds
    for frame, arrays_of_passes in frames.items():
        for number, arrays in enumerate(arrays_of_passes):
            found |= {f"{n}{frame}{'_flipped' * number}": a for n, a in arrays.items()}
    return {name: found[name].numpy() for name in names if name in found}


def batch_arrays(detector: Detector, batch: Batch, passes: int) -> list[dict[str, Tensor]]:
    """Calibration arrays of each pass for the first sample of a batch.

    The cells of the depth points are those of ``VoxelPlan``, so that nothing is rounded otherwise.
    """
    view = batch.views
    if view.camera_mask is not None:
        view = replace(view, cameras=view.cameras[:, view.camera_mask[0]])
    batch = replace(batch, views=view, adjacent=[])
    batches = [batch, flipped(batch)][:passes]
    return [
        camera_arrays(detector, each.views.cameras[:1], each.bev_from_ego[:1], each.image_size)
        for each in batches
    ]


def adjacent_arrays(
    detector: Detector, batch: Batch, number: int, passes: int
) -> list[dict[str, Tensor]]:
    """Calibration arrays of each pass for an adjacent frame of the first sample."""
    batches = [batch, flipped(batch)][:passes]
    return [
        camera_arrays(
            detector,
            each.adjacent[number].cameras[:1],
            (each.bev_from_ego @ each.adjacent[number].ego_from_adjacent)[:1],
            each.image_size,
        )
        for each in batches
    ]


@torch.no_grad()
def camera_arrays(
    detector: Detector,
    cameras: Cameras,
    bev_from_ego: Float[Tensor, "1 4 4"],
    image_size: tuple[int, int],
) -> dict[str, Tensor]:
    """Calibration arrays of (1, N) cameras."""
    view = cast(LiftSplat, detector.view)
    pixels = _pixels(detector, image_size)
    points = frustum_points(pixels, view.bin_depths(), cameras, bev_from_ego)
    planes, rows, columns = view.grid.shape
    indices, inside = view.grid.floor(*points[0].float().unbind(-1), truncate=view.config.truncate)
    x, y, z = (torch.where(inside, index, 0).long() for index in indices)
    cells = torch.where(inside, (y * columns + x) * planes + z, -1)
    arranged = arrange(cells.permute(0, 2, 3, 1).numpy(), planes * rows * columns)
    arrays = {name: torch.from_numpy(np.asarray(value)) for name, value in arranged.items()}
    if isinstance(view.depth_net, CameraAwareDepthNet):
        arrays["parameters"] = view.depth_net.parameters_of(image_size, cameras, bev_from_ego)[0]
    if view.config.ray_features:
        rays = ray_features(pixels, cameras, bev_from_ego)
        arrays["rays"] = torch.cat([rays, ground_nearness(points)], dim=2)[0]
    return arrays


def _pixels(detector: Detector, image_size: tuple[int, int]) -> Float[Tensor, "h w 2"]:
    view = cast(LiftSplat, detector.view)
    sizes = detector.backbone.feature_sizes(image_size)
    index = detector.backbone.strides.index(view.stride)
    corners = view.config.frustum == "corners"
    return feature_pixels(image_size, sizes[index], view.stride, corners=corners)
