"""Lines and faces of the camera frame as a camera shows them, cut to its image.

Through a pinhole lines stay straight: they are cut exactly, before they are projected. Through any
other lens they are curves: they are cut into pieces, and pieces that are seen whole are drawn.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch

from bev.geometry import Cameras, Lens
from bev.visualization.canvas import dashes
from bev.visualization.clipping import NEAR, clip_polygon, clip_segments, view_planes

_PIECES = 32  # of a curve; an edge that spans half the view is cut every three degrees
_MARGIN = 8.0  # pixels beyond the borders that still count, so that thick lines end out of sight


class Sight(ABC):
    """Projection of lines and faces by a camera, cut to its image.

    Attributes:
        convex: whether convex faces are convex in its images.
    """

    convex: bool

    @abstractmethod
    def depth(self, points: np.ndarray) -> np.ndarray:
        """Depth (...,) of points (..., 3) of the camera frame, metres, also of those not seen."""

    @abstractmethod
    def lines(self, segments: np.ndarray) -> np.ndarray:
        """Segments (S, 2, 3) of the camera frame, as segments (S', 2, 2) of pixels."""

    @abstractmethod
    def dashed(self, segments: np.ndarray, dash: float, gap: float) -> np.ndarray:
        """The same in dashes of the given lengths in pixels."""

    @abstractmethod
    def face(self, polygon: np.ndarray) -> np.ndarray:
        """A flat convex polygon (P, 3) of the camera frame, as a polygon (P', 2) of pixels."""


def sight_of(camera: Cameras, size: tuple[int, int]) -> Sight:
    """Of one camera (no batch dimensions), for its image of ``size`` (height, width)."""
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
        curves, seen = self._curves(segments)
        pieces = np.stack([curves[:, :-1], curves[:, 1:]], axis=2)
        return pieces[seen[:, :-1] & seen[:, 1:]]

    def dashed(self, segments: np.ndarray, dash: float, gap: float) -> np.ndarray:
        """Pieces joined to runs along each curve, and dashes put along each run's length."""
        done = [np.zeros((0, 2, 2))]
        for curve, seen in zip(*self._curves(segments), strict=True):
            for run in np.split(np.arange(len(seen)), np.flatnonzero(np.diff(seen)) + 1):
                if len(run) < 2 or not seen[run[0]]:
                    continue
                points = curve[run]
                along = np.cumsum([0.0, *np.linalg.norm(np.diff(points, axis=0), axis=1)])
                flat = dashes(np.array([[[0.0, 0.0], [along[-1], 0.0]]]), dash, gap)[..., 0]
                done.append(
                    np.stack([np.interp(flat, along, points[:, axis]) for axis in (0, 1)], axis=-1)
                )
        return np.concatenate(done)

    def face(self, polygon: np.ndarray) -> np.ndarray:
        """Its outline as far as it is seen, closed by straight lines."""
        outline = np.stack([polygon, np.roll(polygon, -1, axis=0)], axis=1)
        curves, seen = self._curves(outline)
        return curves[:, :-1][seen[:, :-1]]

    def _curves(self, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (S, K, 2) along each segment in pixels, and which of them are seen (S, K)."""
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
