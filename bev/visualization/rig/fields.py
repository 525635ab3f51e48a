"""Fields of view of a rig's cameras: directions at the height of each camera, and the ground."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float

from bev.data.frame import CameraFrame
from bev.geometry import Cameras, in_view

STEP = 0.25  # degrees
_FAR = 1e5  # metres
_ELEVATIONS = (0.0, -10.0, -20.0, -35.0, -50.0, 10.0, 20.0)  # degrees, tried in this order


def whole_view(camera: CameraFrame) -> Cameras:
    """The camera of the whole image, without batch dimensions; float64."""
    matrix = torch.eye(3, dtype=torch.float64)
    return Cameras(camera.intrinsics, camera.ego_from_camera, matrix, camera.lens)


def seen_directions(camera: CameraFrame) -> Bool[np.ndarray, " D"]:
    """Directions around the vehicle that a camera sees: of each ``STEP`` degrees to the left of
    ahead, at the horizon.

    For a camera without horizon in its image, the elevation nearest to it that the image shows.
    """
    azimuth = torch.arange(0, 360, STEP, dtype=torch.float64).deg2rad()
    view = whole_view(camera)
    for elevation in _ELEVATIONS:
        up = torch.tensor(elevation, dtype=torch.float64).deg2rad()
        rays = [azimuth.cos() * up.cos(), azimuth.sin() * up.cos(), up.sin().expand_as(azimuth)]
        points = camera.ego_from_camera[:3, 3] + _FAR * torch.stack(rays, dim=-1)
        pixels, depth = view.project(points)
        seen = in_view(pixels, depth, camera.size).numpy()
        if seen.any():
            return seen
    return seen


def runs(seen: Bool[np.ndarray, " D"]) -> list[tuple[float, float]]:
    """Intervals (start, end) of directions that are true, degrees; the end may exceed 360."""
    if seen.all():
        return [(0.0, 360.0)]
    starts = np.flatnonzero(seen & ~np.roll(seen, 1))
    lengths = [int(np.argmin(np.roll(seen, -start))) for start in starts]
    return [
        (start * STEP, (start + length) * STEP)
        for start, length in zip(starts.tolist(), lengths, strict=True)
    ]


def width(seen: Bool[np.ndarray, " D"]) -> float:
    """Number of degrees that are true."""
    return float(seen.sum() * STEP)


def ground_owner(
    cameras: Sequence[CameraFrame], points: Float[np.ndarray, "P 3"]
) -> tuple[np.ndarray, np.ndarray]:
    """For points on the ground, the camera that sees each best, and the pixels in its image.

    The best is the one in whose image the point lies farthest from the border.

    Returns:
        (P,) index of the camera, -1 for none, and (P, 2) pixels.
    """
    owner, best = np.full(len(points), -1), np.zeros(len(points))
    pixels = np.zeros((len(points), 2))
    ego = torch.from_numpy(points)
    for number, camera in enumerate(cameras):
        found, depth = whole_view(camera).project(ego)
        height, across = camera.size
        seen = in_view(found, depth, camera.size).numpy()
        x, y = found.numpy().T
        inside = np.minimum(np.minimum(x, across - x) / across, np.minimum(y, height - y) / height)
        better = seen & (inside > best)
        owner[better], best[better] = number, inside[better]
        pixels[better] = found.numpy()[better]
    return owner, pixels


def seen_by(
    camera: CameraFrame, other: CameraFrame, size: tuple[int, int], distance: float
) -> Bool[np.ndarray, "h w"]:
    """Pixels of a camera's image, scaled to ``size``, that another camera sees too.

    Args:
        camera: camera of the image.
        other: the other camera.
        size: (height, width) of the mask.
        distance: distance of the points from the camera, metres.
    """
    rows, columns = (torch.arange(side, dtype=torch.float64) + 0.5 for side in size)
    y, x = torch.meshgrid(
        rows * camera.size[0] / size[0], columns * camera.size[1] / size[1], indexing="ij"
    )
    rays = whole_view(camera).rays(torch.stack([x, y], dim=-1).reshape(-1, 2))
    unit = rays / rays.norm(dim=-1, keepdim=True)
    points = camera.ego_from_camera[:3, 3] + distance * unit @ camera.ego_from_camera[:3, :3].T
    known = points.isfinite().all(dim=-1)
    found, depth = whole_view(other).project(torch.where(known[:, None], points, 0.0))
    return (in_view(found, depth, other.size) & known).numpy().reshape(size)
