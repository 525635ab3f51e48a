"""View of one camera at one time: the visible items, their paint order and their pixels."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bev.lab.synthetic.visibility.items import Items
from bev.lab.synthetic.visibility.ordering import items_before, paint_rank, solid_ranks

NEAR = 0.12
"""Distance of the near clipping plane, metres."""

SIGHT = 170.0
"""Distance beyond which items are not painted, metres."""


@dataclass(frozen=True)
class View:
    """Pinhole view of a camera at its own time.

    Attributes:
        items: actors and props at the camera's time.
        intrinsic: (3, 3) intrinsic matrix.
        camera_from_global: (4, 4) transform.
        size: (width, height) in pixels.
        planes: separating planes at the key frame, see ``ordering.item_planes``.
        gap: gaps at the key frame, see ``ordering.item_planes``.
        weight: weight of each mask pixel for the visible share, see ``rig.Part``.
    """

    items: Items
    intrinsic: np.ndarray
    camera_from_global: np.ndarray
    size: tuple[int, int]
    planes: np.ndarray
    gap: np.ndarray
    weight: np.ndarray | None = None

    @cached_property
    def position(self) -> np.ndarray:
        """(3,) position of the camera in the global frame."""
        return -self.camera_from_global[:3, :3].T @ self.camera_from_global[:3, 3]

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) global points in the camera frame."""
        return points @ self.camera_from_global[:3, :3].T + self.camera_from_global[:3, 3]

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) pixels of camera-frame points with z > 0 (pixel centres at integer + 0.5)."""
        k = self.intrinsic
        depth = np.maximum(points[..., 2:], 1e-6)
        pixels = points[..., :2] / depth * (k[0, 0], k[1, 1]) + (k[0, 2], k[1, 2])
        return np.clip(pixels, -30000.0, 30000.0)

    @cached_property
    def order(self) -> np.ndarray:
        """(n,) indices of the items in view, far to near."""
        half, centre = self.items.half_size, self.items.centre
        radius = np.linalg.norm(half, axis=1)
        position = self.to_camera(centre)
        k, (width, height) = self.intrinsic, self.size
        inside = (position[:, 2] > NEAR - radius) & (position[:, 2] - radius < SIGHT)
        for axis, low, high in ((0, -k[0, 2], width - k[0, 2]), (1, -k[1, 2], height - k[1, 2])):
            for edge, sign in ((low / k[axis, axis], -1.0), (high / k[axis, axis], 1.0)):
                distance = sign * (position[:, axis] - edge * position[:, 2])
                inside &= distance / np.hypot(1.0, edge) < radius
        index = np.flatnonzero(inside)
        if len(index) == 0:
            return index
        before = items_before(
            self.planes[np.ix_(index, index)], self.gap[np.ix_(index, index)], self.position
        )
        box = self._bounds(index)
        overlap = (
            (box[:, None, 0] <= box[None, :, 2])
            & (box[None, :, 0] <= box[:, None, 2])
            & (box[:, None, 1] <= box[None, :, 3])
            & (box[None, :, 1] <= box[:, None, 3])
        )
        rank = paint_rank(before & overlap, position[index, 2])
        return index[np.argsort(rank)]

    def _bounds(self, index: np.ndarray) -> np.ndarray:
        """(n, 4) pixel bounds (x0, y0, x1, y1) of boxes; unlimited if the near plane cuts a box."""
        corners = self.to_camera(self.items.corners()[index])
        pixels = self.to_pixels(corners)
        bounds = np.concatenate([pixels.min(1), pixels.max(1)], axis=1)
        bounds[corners[..., 2].min(1) < NEAR] = (-1e5, -1e5, 1e5, 1e5)
        return bounds

    @cached_property
    def camera_from_item(self) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (n, 3, 3) and translations (n, 3) of the items in ``order``."""
        rotation = self.camera_from_global[:3, :3] @ self.items.rotation[self.order]
        return rotation, self.to_camera(self.items.position[self.order])

    @cached_property
    def camera_in_item(self) -> np.ndarray:
        """(n, 3) position of the camera in the frame of each item in ``order``."""
        rotation, translation = self.camera_from_item
        return -np.einsum("nji,nj->ni", rotation, translation)

    @cached_property
    def ranks(self) -> np.ndarray:
        """(n, P) paint ranks of the solids of each item in ``order``."""
        return solid_ranks([self.items.shapes[i] for i in self.order], self.camera_in_item)


def clip_near(polygon: np.ndarray) -> np.ndarray:
    """Part of a camera-frame polygon (k, 3) with z >= NEAR; (0, 3) if the part is empty."""
    following = np.roll(polygon, -1, axis=0)
    clipped = []
    for a, b in zip(polygon, following, strict=True):
        if a[2] >= NEAR:
            clipped.append(a)
        if (a[2] >= NEAR) != (b[2] >= NEAR):
            clipped.append(a + (NEAR - a[2]) / (b[2] - a[2]) * (b - a))
    return np.asarray(clipped).reshape(-1, 3)
