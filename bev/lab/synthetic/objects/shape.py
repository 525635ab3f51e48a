"""Shape of an object: convex solids with coloured faces and decals, in the object's own frame.

Frame: x forward, y left, z up, origin at the centre of the box's bottom, metres. The painter (faces
and decals), the lidar (planes of the solids) and the occlusion masks use the same shape, so they
are consistent. Two solids of a shape are separated by one of their face planes; the solid on the
camera's side of the plane is painted later.
"""

import math
from dataclasses import dataclass, field

import numpy as np

Colour = tuple[float | int, float | int, float | int]
"""Colour (blue, green, red), each 0 to 255."""


@dataclass(frozen=True)
class Polygon:
    """Face (polygons = 1) or group of decal polygons of one colour.

    Attributes:
        start: first row in the shape's vertices; the group has polygons x corners rows.
        polygons: number of polygons.
        corners: number of corners of each polygon.
        face: index of the face, for decals the face that they lie on.
        solid: index of the solid.
        colour: colour of all polygons.
        glow: share of the colour that is not shaded (lamps).
    """

    start: int
    polygons: int
    corners: int
    face: int
    solid: int
    colour: Colour
    glow: float


@dataclass(frozen=True)
class Shape:
    """Finished shape of P solids.

    Attributes:
        size: (length, width, height) of the annotated box, metres.
        vertices: (V, 3) corners of all polygons.
        polygons: faces and decals.
        points: (Q, 3) corners of the solids.
        solid_points: (P + 1,) offset of each solid in ``points``.
        planes: (F, 4) planes of the faces, n . x + d, positive outside.
        solid_planes: (P + 1,) offset of each solid in ``planes``.
        pairs: (R, 2) pairs of solids (a, b).
        pair_planes: (R, 4) separating plane of each pair, negative on the side of a.
        polygon_table: (polygons, 5) integer fields start to solid of ``polygons``.
        colours: (polygons, 4) colour and glow of ``polygons``.
    """

    size: tuple[float, float, float]
    vertices: np.ndarray
    polygons: tuple[Polygon, ...]
    points: np.ndarray
    solid_points: np.ndarray
    planes: np.ndarray
    solid_planes: np.ndarray
    pairs: np.ndarray
    pair_planes: np.ndarray
    polygon_table: np.ndarray = field(repr=False)
    colours: np.ndarray = field(repr=False)


class ShapeBuilder:
    """Builder of a shape from solids and decals."""

    def __init__(self) -> None:
        self._vertices: list[np.ndarray] = []
        self._count = 0
        self._polygons: list[Polygon] = []
        self._faces: list[np.ndarray] = []
        self._face_solid: list[int] = []
        self._points: list[np.ndarray] = []

    def _add_polygon(self, rows, polygons, corners, face, solid, colour, glow) -> None:
        start = self._count
        self._vertices.append(rows)
        self._count += len(rows)
        self._polygons.append(Polygon(start, polygons, corners, face, solid, colour, glow))

    def frustum(self, base: np.ndarray, top: np.ndarray, colour: Colour) -> int:
        """Add a convex solid between two rings (k, 3), counter-clockwise as viewed from the top.

        Returns:
            Index of its first face. Faces 0 to k - 1 are the sides (side i between ring points i
            and i + 1), then top, then bottom.
        """
        base, top = np.asarray(base, float), np.asarray(top, float)
        k, solid, first = len(base), len(self._points), len(self._faces)
        following = np.roll(np.arange(k), -1)
        sides = [np.stack([base[i], base[j], top[j], top[i]]) for i, j in enumerate(following)]
        for rows in [*sides, top, base[::-1]]:
            self._add_polygon(rows, 1, len(rows), len(self._faces), solid, colour, 0.0)
            self._faces.append(rows)
            self._face_solid.append(solid)
        self._points.append(np.concatenate([base, top]))
        return first

    def box(self, x, y, z, colour: Colour, top_x=None, top_y=None, pitch: float = 0.0) -> int:
        """Add a box, optionally tapered or tilted.

        Args:
            x: (low, high) range in x.
            y: (low, high) range in y.
            z: (low, high) range in z.
            colour: colour of the faces.
            top_x: (low, high) range in x at the top, if it differs.
            top_y: (low, high) range in y at the top, if it differs.
            pitch: rotation about the centre, front upwards, radians.

        Returns:
            Index of the front face; left, back, right, top and bottom face follow in this order.
        """
        rings = []
        for (x0, x1), (y0, y1), height in ((x, y, z[0]), (top_x or x, top_y or y, z[1])):
            rings.append([(x1, y0, height), (x1, y1, height), (x0, y1, height), (x0, y0, height)])
        base, top = np.asarray(rings, float)
        if pitch:
            middle = np.array([np.mean(x), np.mean(y), np.mean(z)])
            c, s = np.cos(pitch), np.sin(pitch)
            turn = np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])
            base, top = (base - middle) @ turn.T + middle, (top - middle) @ turn.T + middle
        return self.frustum(base, top, colour)

    def cylinder(self, x, y, z, radius, top_radius, height, sides, colour: Colour) -> int:
        """Add an upright prism with ``sides`` sides about (x, y), from z to z + height."""
        angle = (np.arange(sides) + 0.5) * 2.0 * np.pi / sides
        ring = np.stack([np.cos(angle), np.sin(angle), 0.0 * angle], axis=1)
        foot = np.array([x, y, z])
        return self.frustum(
            foot + radius * ring, foot + top_radius * ring + np.array([0, 0, height]), colour
        )

    def wheel(self, x, y, z, radius: float, width: float, colour: Colour) -> int:
        """Add an eight-sided wheel in the x-z plane, centred at (x, y, z)."""
        angle = (np.arange(8) + 0.5) * np.pi / 4
        ring = radius * np.stack([np.sin(angle), 0.0 * angle, np.cos(angle)], axis=1)
        middle, half = np.array([x, y, z]), np.array([0.0, 0.5 * width, 0.0])
        return self.frustum(middle + ring - half, middle + ring + half, colour)

    def decal(self, face: int, rectangles, colour: Colour, glow: float = 0.0) -> None:
        """Add rectangles (u0, u1, v0, v1) to a face with four corners.

        The coordinates of a face are 0 to 1, u to the right as viewed from outside, v upwards.
        Rectangles may extend beyond the edges.
        """
        quads = [
            [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]
            for u0, u1, v0, v1 in np.atleast_2d(np.asarray(rectangles, float))
        ]
        self._add_decal(face, np.asarray(quads), colour, glow)

    def disc(self, face: int, centres, radius: float, colour: Colour, glow: float = 0.0) -> None:
        """Add discs of ``radius`` metres around the (u, v) ``centres`` to a face."""
        a, b, c, d = self._faces[face]
        across = np.linalg.norm(0.5 * (b + c) - 0.5 * (a + d))
        up = np.linalg.norm(0.5 * (c + d) - 0.5 * (a + b))
        angle = np.arange(10) * 2.0 * np.pi / 10
        ring = np.stack([np.cos(angle) / across, np.sin(angle) / up], axis=1) * radius
        centres = np.atleast_2d(np.asarray(centres, float))
        self._add_decal(face, centres[:, None] + ring, colour, glow)

    def _add_decal(self, face: int, uv: np.ndarray, colour: Colour, glow: float) -> None:
        a, b, c, d = self._faces[face]
        u, v = uv[..., :1], uv[..., 1:]
        rows = (1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * d + u * c)
        n, k = uv.shape[:2]
        self._add_polygon(rows.reshape(-1, 3), n, k, face, self._face_solid[face], colour, glow)

    def build(self, margin: float = 0.03) -> Shape:
        """Build the shape in the frame of its box.

        The box encloses the solids with ``margin`` metres at the sides and the top; it is centred
        on the origin in x and y, and its bottom is at z = 0.
        """
        points = np.concatenate(self._points)
        low, high = points.min(0), points.max(0)
        shift = np.array([-0.5 * (low[0] + high[0]), -0.5 * (low[1] + high[1]), -low[2]])
        length, width, height = high - low + np.array([2 * margin, 2 * margin, margin])
        planes = np.stack([_plane(face + shift) for face in self._faces])
        counts = [len(p) for p in self._points]
        solid_points = np.concatenate([[0], np.cumsum(counts)])
        face_counts = np.bincount(self._face_solid, minlength=len(counts))
        solid_planes = np.concatenate([[0], np.cumsum(face_counts)])
        pairs, pair_planes = _separations(points + shift, solid_points, planes, solid_planes)
        table = np.array(
            [(p.start, p.polygons, p.corners, p.face, p.solid) for p in self._polygons], int
        )
        colours = np.array([(*p.colour, p.glow) for p in self._polygons], float)
        return Shape(
            size=(float(length), float(width), float(height)),
            vertices=np.concatenate(self._vertices) + shift,
            polygons=tuple(self._polygons),
            points=points + shift,
            solid_points=solid_points,
            planes=planes,
            solid_planes=solid_planes,
            pairs=pairs,
            pair_planes=pair_planes,
            polygon_table=table,
            colours=colours,
        )


def _plane(face: np.ndarray) -> np.ndarray:
    (x0, y0, z0), (x1, y1, z1), (x2, y2, z2) = (face[:3]).tolist()
    ax, ay, az, bx, by, bz = x1 - x0, y1 - y0, z1 - z0, x2 - x0, y2 - y0, z2 - z0
    nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    size = math.sqrt(nx * nx + ny * ny + nz * nz)
    nx, ny, nz = nx / size, ny / size, nz / size
    return np.array([nx, ny, nz, -(nx * x0 + ny * y0 + nz * z0)])


def _separations(points, solid_points, planes, solid_planes) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of solids and the face plane of each pair with the largest separation."""
    distance = points @ planes[:, :3].T + planes[:, 3]
    nearest = np.minimum.reduceat(distance, solid_points[:-1], axis=0)  # (P, F)
    count = len(solid_points) - 1
    pairs, separations = [], []
    for a in range(count):
        for b in range(a + 1, count):
            faces_a = slice(solid_planes[a], solid_planes[a + 1])
            faces_b = slice(solid_planes[b], solid_planes[b + 1])
            best_a, best_b = nearest[b, faces_a].max(), nearest[a, faces_b].max()
            if best_a >= best_b:
                pairs.append((a, b))
                separations.append(planes[faces_a][nearest[b, faces_a].argmax()])
            else:
                pairs.append((b, a))
                separations.append(planes[faces_b][nearest[a, faces_b].argmax()])
    if not pairs:
        return np.zeros((0, 2), int), np.zeros((0, 4))
    return np.asarray(pairs), np.stack(separations)
