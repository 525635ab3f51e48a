"""Projection of lines and faces of the camera frame, clipped to the image.

Lines stay straight through a pinhole: they are clipped exactly, before projection. Through any
other lens they become curves: they are cut into pieces, and pieces that are entirely visible are
drawn.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch

from bev.geometry import Cameras, Lens
from bev.visualization.canvas import dashes
from bev.visualization.clipping import NEAR, clip_polygon, clip_segments, view_planes

_PIECES = 32  # per curve; an edge across half the view is cut every three degrees
_MARGIN = (
    8.0  # margin around the image that counts as visible, pixels; hides the ends of thick lines
)


class Sight(ABC):
    """Projection of lines and faces by a camera, clipped to its image.

    Attributes:
        convex: whether convex faces are convex in the image.
    """

    convex: bool

    @abstractmethod
    def depth(self, points: np.ndarray) -> np.ndarray:
        """Depth (...,) of points (..., 3) in the camera frame, metres; also if not visible."""

    def may_show(self, corners: np.ndarray) -> np.ndarray:
        """Mask (M,) of convex bodies with these corners (M, K, 3) that may be visible.

        False only if no point of the body is visible.
        """
        return np.ones(len(corners), bool)

    @abstractmethod
    def lines(self, segments: np.ndarray) -> np.ndarray:
        """Project segments (S, 2, 3) in the camera frame to segments (S', 2, 2) in pixels."""

    @abstractmethod
    def dashed(self, segments: np.ndarray, dash: float, gap: float) -> np.ndarray:
        """Project segments like :meth:`lines`, as dashes; lengths in pixels."""

    @abstractmethod
    def face(self, polygon: np.ndarray) -> np.ndarray:
        """Project a flat convex polygon (P, 3) in the camera frame to pixels (P', 2)."""


def sight_of(camera: Cameras, size: tuple[int, int]) -> Sight:
    """Create the projection of a camera (no batch dimensions); ``size`` is (height, width)."""
    matrix = camera.image_from_camera.double().numpy()
    if camera.lens.straight:
        return _Straight(matrix, size)
    return _Curved(camera.lens.to(torch.float64), matrix, size)


class _Straight(Sight):
    convex = True

    def __init__(self, image_from_camera: np.ndarray, size: tuple[int, int]) -> None:
        self._matrix = image_from_camera
        self._planes = view_planes(image_from_camera, size, _MARGIN)

    def depth(self, points: np.ndarray) -> np.ndarray:
        return points[..., 2]

    def may_show(self, corners: np.ndarray) -> np.ndarray:
        """Leave out bodies whose corners all lie beyond the same border of the view."""
        inside = corners @ self._planes[:, :3].T >= self._planes[:, 3]
        return inside.any(axis=1).all(axis=1)

    def lines(self, segments: np.ndarray) -> np.ndarray:
        return _pixels(clip_segments(segments, self._planes), self._matrix)

    def dashed(self, segments: np.ndarray, dash: float, gap: float) -> np.ndarray:
        return dashes(self.lines(segments), dash, gap)

    def face(self, polygon: np.ndarray) -> np.ndarray:
        return _pixels(clip_polygon(polygon, self._planes), self._matrix)


class _Curved(Sight):
    convex = False

    def __init__(self, lens: Lens, image_from_plane: np.ndarray, size: tuple[int, int]) -> None:
        self._lens, self._matrix, self._size = lens, image_from_plane, size

    def depth(self, points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points, axis=-1)

    def lines(self, segments: np.ndarray) -> np.ndarray:
        curves, visible = self._curves(segments)
        pieces = np.stack([curves[:, :-1], curves[:, 1:]], axis=2)
        return pieces[visible[:, :-1] & visible[:, 1:]]

    def dashed(self, segments: np.ndarray, dash: float, gap: float) -> np.ndarray:
        """Join visible pieces to runs along each curve, and place dashes along each run."""
        done = [np.zeros((0, 2, 2))]
        for curve, visible in zip(*self._curves(segments), strict=True):
            for run in np.split(np.arange(len(visible)), np.flatnonzero(np.diff(visible)) + 1):
                if len(run) < 2 or not visible[run[0]]:
                    continue
                points = curve[run]
                along = np.cumsum([0.0, *np.linalg.norm(np.diff(points, axis=0), axis=1)])
                flat = dashes(np.array([[[0.0, 0.0], [along[-1], 0.0]]]), dash, gap)[..., 0]
                done.append(
                    np.stack([np.interp(flat, along, points[:, axis]) for axis in (0, 1)], axis=-1)
                )
        return np.concatenate(done)

    def face(self, polygon: np.ndarray) -> np.ndarray:
        """Project the visible part of the outline, closed by straight lines."""
        outline = np.stack([polygon, np.roll(polygon, -1, axis=0)], axis=1)
        curves, visible = self._curves(outline)
        return curves[:, :-1][visible[:, :-1]]

    def _curves(self, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return points (S, K, 2) along each segment in pixels, and their visibility (S, K)."""
        share = np.linspace(0.0, 1.0, _PIECES + 1)[:, None]
        start, end = segments[:, :1], segments[:, 1:]
        points = torch.from_numpy(start + share * (end - start))
        plane, depth = (part.numpy() for part in self._lens.project(points))
        pixels, (height, width) = _pixels(plane, self._matrix), self._size
        inside = ((pixels > -_MARGIN) & (pixels < (width + _MARGIN, height + _MARGIN))).all(-1)
        return pixels, inside & (depth > NEAR)


def _pixels(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    homogeneous = points @ matrix.T
    return homogeneous[..., :2] / homogeneous[..., 2:]
