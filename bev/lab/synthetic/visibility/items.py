"""Items: the actors and props of a scene with their poses at one time."""

from dataclasses import dataclass

import numpy as np

from bev.lab.synthetic.objects.shape import Shape
from bev.lab.synthetic.scene.actors import GROUND_CLEARANCE, Actor, Prop


@dataclass(frozen=True)
class Items:
    """Shapes of N items and their poses.

    Attributes:
        shapes: shapes of the items, actors first.
        position: (N, 3) centre of each box's bottom in the global frame, metres.
        yaw: (N,) heading in the global frame, radians.
        actors: number of items that are actors.
    """

    shapes: list[Shape]
    position: np.ndarray
    yaw: np.ndarray
    actors: int

    @property
    def rotation(self) -> np.ndarray:
        """(N, 3, 3) rotations global from item."""
        matrix = np.zeros((len(self.yaw), 3, 3))
        matrix[:, 0, 0] = matrix[:, 1, 1] = np.cos(self.yaw)
        matrix[:, 1, 0] = np.sin(self.yaw)
        matrix[:, 0, 1] = -np.sin(self.yaw)
        matrix[:, 2, 2] = 1.0
        return matrix

    @property
    def half_size(self) -> np.ndarray:
        """(N, 3) half lengths, widths, heights."""
        return 0.5 * np.array([shape.size for shape in self.shapes])

    @property
    def centre(self) -> np.ndarray:
        """(N, 3) box centres in the global frame."""
        centre = self.position.copy()
        centre[:, 2] += self.half_size[:, 2]
        return centre

    def corners(self) -> np.ndarray:
        """(N, 8, 3) box corners in the global frame."""
        signs = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
        local = self.half_size[:, None] * signs
        return np.einsum("nij,nkj->nki", self.rotation, local) + self.centre[:, None]


def items_at(actors: list[Actor], props: list[Prop], time: float) -> Items:
    """Actors and props with their poses at ``time`` [s since the first key frame]."""
    poses = [actor.motion.pose(time) for actor in actors]
    position = [(float(x), float(y), GROUND_CLEARANCE) for x, y, _ in poses]
    position += [(p.x, p.y, p.z) for p in props]
    yaw = [float(a) for _, _, a in poses] + [p.yaw for p in props]
    shapes = [actor.shape for actor in actors] + [prop.shape for prop in props]
    return Items(shapes, np.asarray(position), np.asarray(yaw), len(actors))
