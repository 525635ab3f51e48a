"""Ground: a painted map of the street at three scales, warped into each camera.

The ground is a plane, so a homography maps it into an image. The map has 5 cm pixels near the ego
vehicle and coarser pixels farther away, so that distant markings do not flicker and maps are small.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from bev.lab.synthetic.scene.road import Road

_LEVELS = ((0.05, 33.0), (0.125, 95.0), (0.5, 330.0))
"""Metres per pixel and metres covered around the path of the ego vehicle."""

_BANDS = (20.0, 60.0)
"""Distances along the optical axis from which the next coarser level is used, metres."""

_SHIFT = 4


@dataclass(frozen=True)
class Ground:
    """Maps of the ground.

    Attributes:
        levels: maps (image, map_from_global 3x3 for continuous map pixels), finest first.
    """

    levels: list[tuple[np.ndarray, np.ndarray]]


class _Sheet:
    """Canvas of one map, painted in road coordinates."""

    def __init__(self, road: Road, low, size, scale: float, base) -> None:
        width, height = (int(np.ceil(v / scale)) for v in size)
        self.road, self.scale = road, scale
        c, s = np.cos(road.heading), np.sin(road.heading)
        local_from_global = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
        local_from_global[:2, 2] = -local_from_global[:2, :2] @ np.asarray(road.origin)
        shrink = np.diag([1.0 / scale, 1.0 / scale, 1.0])
        shrink[:2, 2] = -np.asarray(low) / scale
        self.map_from_global = shrink @ local_from_global
        self.image = np.empty((height, width, 3), np.uint8)
        self.image[:] = np.clip(base, 0, 255)

    def polygon(self, x, y, colour) -> None:
        points = np.stack([x, y, np.ones_like(x)], axis=-1) @ self.map_from_global.T
        fixed = np.rint((points[:, :2] - 0.5) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(self.image, [fixed], colour, cv2.LINE_AA, _SHIFT)

    def strip(self, s0, s1, t0, t1, colour) -> None:
        """Paint the strip s0..s1, t0..t1 of the main street."""
        steps = max(2, int(abs(s1 - s0) / 3.0) + 2) if self.road.curvature else 2
        s = np.linspace(s0, s1, steps)
        x, y, _ = self.road.pose(
            np.concatenate([s, s[::-1]]), np.repeat([float(t0), float(t1)], steps)
        )
        self.polygon(x, y, colour)

    def cross(self, u0, u1, v0, v1, colour) -> None:
        """Paint the rectangle u0..u1, v0..v1 of the crossing street."""
        corners = [
            self.road.crossing_pose(u, v) for u, v in ((u0, v0), (u1, v0), (u1, v1), (u0, v1))
        ]
        x, y, _ = np.array(corners).T
        self.polygon(x, y, colour)


def make_ground(road: Road, lots, travel: float, rng: np.random.Generator) -> Ground:
    """Paint the maps of a street for an ego vehicle that drives from s = 0 to s = ``travel``."""
    colours = _StreetColours(rng)
    noise = _noise_tile(rng)
    s = np.linspace(0.0, travel, 8)
    x, y, _ = road.pose(s, 0.0)
    c, d = np.cos(road.heading), np.sin(road.heading)
    along = c * (x - road.origin[0]) + d * (y - road.origin[1])
    across = -d * (x - road.origin[0]) + c * (y - road.origin[1])
    levels = []
    for scale, reach in _LEVELS:
        low = np.array([along.min(), across.min()]) - reach
        size = np.array([np.ptp(along), np.ptp(across)]) + 2 * reach
        fine = scale / 2 if scale > 0.3 else scale
        sheet = _Sheet(road, low, size, fine, colours.verge)
        _paint_street(sheet, lots, colours, reach)
        image: np.ndarray = sheet.image
        matrix = sheet.map_from_global
        _roughen(image, noise, fine)
        if fine != scale:
            image = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            matrix = np.diag([0.5, 0.5, 1.0]) @ matrix
        levels.append((image, matrix))
    return Ground(levels)


class _StreetColours:
    """Colours of one street."""

    def __init__(self, rng: np.random.Generator) -> None:
        grey = rng.uniform(72, 118)
        self.asphalt = tuple(grey + v for v in (3.0, 0.0, -2.0))
        self.parking = tuple(grey * 1.08 + v for v in (0.0, 2.0, 4.0))
        pave = rng.uniform(135, 175)
        self.pavement = (pave * 0.96, pave, pave * 1.02)
        self.kerb = (pave * 1.1, pave * 1.1, pave * 1.1)
        self.verge = ((58, 110, 85), (70, 120, 125), (150, 155, 158), (95, 130, 150))[
            rng.choice(4, p=[0.45, 0.2, 0.2, 0.15])
        ]
        self.white = (215, 218, 220)
        self.centre = (60, 180, 225) if rng.random() < 0.6 else self.white
        self.bike = (70, 105, 75) if rng.random() < 0.35 else self.asphalt


def _paint_street(sheet: _Sheet, lots, colours: _StreetColours, reach: float) -> None:
    road = sheet.road
    end = min(reach + 60.0, 2.6 / max(abs(road.curvature), 1e-3))
    low, high = -end, end + 60.0
    sheet.strip(low, high, -road.plots, road.plots, colours.pavement)
    for a, b, side in lots:
        sheet.strip(a, b, side * road.kerb, side * (road.plots + 18.0), colours.parking)
        for s in np.arange(a, b, 3.1):
            for depth in (1.8, 10.5):
                t = side * (road.plots + depth)
                sheet.strip(s, s + 0.12, t, t + side * 5.2, colours.white)
    half = road.crossing_half_width
    if road.crossing is not None:
        sheet.cross(-reach, reach, -half - 2.0, half + 2.0, colours.pavement)
    sheet.strip(low, high, -road.kerb - 0.18, road.kerb + 0.18, colours.kerb)
    sheet.strip(low, high, -road.kerb, road.kerb, colours.parking)
    edge = road.lanes * road.lane_width
    for side in (-1.0, 1.0):
        sheet.strip(low, high, side * edge, side * (edge + road.bike_width), colours.bike)
    sheet.strip(low, high, -edge, edge, colours.asphalt)
    if sheet.scale < 0.3:
        _paint_lines(sheet, colours, low, high)
    else:
        sheet.strip(low, high, -0.2, 0.2, colours.centre)
    if road.crossing is not None:
        _paint_crossing(sheet, colours, road.crossing, reach)


def _paint_lines(sheet: _Sheet, colours: _StreetColours, low: float, high: float) -> None:
    road = sheet.road
    edge = road.lanes * road.lane_width
    for t in (-0.16, 0.16):
        sheet.strip(low, high, t - 0.06, t + 0.06, colours.centre)
    dashes = np.arange(max(low, -95.0), min(high, 150.0), 9.0)
    for side in (-1.0, 1.0):
        for t in (edge, edge + road.bike_width):
            sheet.strip(low, high, side * t - 0.06, side * t + 0.06, colours.white)
        for lane in range(1, road.lanes):
            t = side * lane * road.lane_width
            for s in dashes:
                sheet.strip(s, s + 3.0, t - 0.065, t + 0.065, colours.white)
        for s in np.arange(dashes[0], dashes[-1], 6.5):
            inner, outer = side * (edge + road.bike_width), side * road.kerb
            sheet.strip(s, s + 0.1, inner, outer, colours.white)


def _paint_crossing(sheet: _Sheet, colours: _StreetColours, crossing: float, reach: float) -> None:
    road, half = sheet.road, sheet.road.crossing_half_width
    sheet.cross(-reach, reach, -half + 1.0, half - 1.0, colours.asphalt)
    sheet.strip(
        crossing - half - 3.2, crossing + half + 3.2, -road.kerb, road.kerb, colours.asphalt
    )
    for arm in (-1.0, 1.0):
        sheet.cross(arm * (road.plots + 1), arm * reach, -0.08, 0.08, colours.centre)
        line = road.plots + 0.4
        low, high = sorted((0.0, arm * (half - 1.0)))
        sheet.cross(arm * line, arm * (line + 0.4), low, high, colours.white)
        if sheet.scale < 0.3:
            middle = crossing + arm * (half + 1.5)
            for t in np.arange(-road.kerb + 0.4, road.kerb - 0.4, 1.0):
                sheet.strip(middle - 1.3, middle + 1.3, t, t + 0.5, colours.white)


def _noise_tile(rng: np.random.Generator) -> np.ndarray:
    """(512, 512) uint8 around 128: grain and patches, tileable."""
    total = np.zeros((512, 512), np.float32)
    for cells, strength in ((512, 5.0), (128, 5.0), (32, 6.0), (8, 6.0)):
        coarse = rng.normal(0.0, strength, (cells, cells)).astype(np.float32)
        padded = np.pad(coarse, 2, mode="wrap")
        factor = 512 // cells
        grown = cv2.resize(padded, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
        total += grown[2 * factor : 2 * factor + 512, 2 * factor : 2 * factor + 512]
    return np.clip(128.0 + total, 0, 255).astype(np.uint8)


def _roughen(image: np.ndarray, tile: np.ndarray, scale: float) -> None:
    height, width = image.shape[:2]
    if scale > 0.1:
        tile = cv2.resize(tile, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    reps = (height // tile.shape[0] + 1, width // tile.shape[1] + 1)
    grain = cv2.merge([np.tile(tile, reps)[:height, :width]] * 3)
    cv2.addWeighted(image, 1.0, grain, 0.8, -0.8 * 128.0, image)


def paint_ground(
    image: np.ndarray,
    ground: Ground,
    intrinsic: np.ndarray,
    camera_from_global: np.ndarray,
    top: int,
) -> None:
    """Paint the ground into the rows of an image from ``top`` on, in place.

    The rows are split into bands by distance; each band is warped from the map of its level.
    """
    height, width = image.shape[:2]
    rotation, translation = camera_from_global[:3, :3], camera_from_global[:3, 3]
    plane = np.stack([rotation[:, 0], rotation[:, 1], translation], axis=1)
    pixel_from_global = intrinsic @ plane
    camera_height = -(rotation.T @ translation)[2]
    # Rows of the middle column in which the ground is at the end of each band.
    focal, middle = intrinsic[1, 1], intrinsic[1, 2]
    horizon = middle + focal * np.tan(-np.arcsin(np.clip(-rotation[2, 2], -1, 1)))
    rows = [int(np.clip(horizon + focal * camera_height / z, top, height)) for z in _BANDS]
    edges = [height, *rows, top]
    half = np.array([[1.0, 0.0, -0.5], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]])
    for (texture, map_from_global), low, high in zip(
        ground.levels, edges[1:], edges[:-1], strict=True
    ):
        if high <= low:
            continue
        matrix = half @ pixel_from_global @ np.linalg.inv(map_from_global) @ np.linalg.inv(half)
        lift = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, -low], [0.0, 0.0, 1.0]])
        image[low:high] = cv2.warpPerspective(
            texture,
            lift @ matrix,
            (width, high - low),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
