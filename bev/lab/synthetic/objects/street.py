"""Street furniture: traffic cones and barriers (annotated), buildings, hedges, trees, lamps."""

from itertools import pairwise

import numpy as np

from bev.lab.synthetic.objects.palette import (
    CHASSIS,
    CONCRETE,
    SIGNAL_ORANGE,
    SIGNAL_RED,
    SIGNAL_WHITE,
    SIGNAL_YELLOW,
    shade,
    vary,
)
from bev.lab.synthetic.objects.shape import Shape, ShapeBuilder


def make_traffic_cone(rng: np.random.Generator) -> Shape:
    """Make an orange traffic cone with white rings on a slab."""
    b, tall, r = ShapeBuilder(), rng.uniform(0.7, 1.05), rng.uniform(0.14, 0.19)
    orange = vary(SIGNAL_ORANGE, rng, 0.05)
    b.box((-r - 0.05, r + 0.05), (-r - 0.05, r + 0.05), (0.0, 0.06), shade(orange, 0.45))
    rings = [0.0, 0.3, 0.5, 0.66, 0.82, 1.0] if rng.random() < 0.5 else [0.0, 0.38, 0.68, 1.0]
    for i, (low, high) in enumerate(pairwise(rings)):
        wide = [r * (1.0 - 0.78 * a) for a in (low, high)]
        z0, z1 = 0.06 + (tall - 0.06) * low, 0.06 + (tall - 0.06) * high
        b.cylinder(0, 0, z0, wide[0], wide[1], z1 - z0, 7, SIGNAL_WHITE if i % 2 else orange)
    return b.build(margin=0.02)


def make_barrier(rng: np.random.Generator) -> Shape:
    """Make a barrier of striped plastic, of concrete, or a board.

    A barrier is about 2 m wide and 0.6 m long along its heading.
    """
    b, w = ShapeBuilder(), 0.5 * rng.uniform(1.8, 2.5)
    kind = rng.choice(["striped", "concrete", "board"])
    tall = rng.uniform(0.85, 1.1)
    if kind == "striped":
        foot = b.box((-0.27, 0.27), (-w, w), (0.0, 0.3), SIGNAL_RED)
        body = b.box((-0.2, 0.2), (-w, w), (0.3, tall), SIGNAL_RED, top_x=(-0.12, 0.12))
        stripes = [(u, u + 0.125, 0.0, 1.0) for u in np.arange(0.0, 1.0, 0.25) + 0.06]
        for face in (body, body + 2, foot, foot + 2):
            b.decal(face, stripes, SIGNAL_WHITE)
        return b.build()
    if kind == "concrete":
        grey = vary(CONCRETE, rng)
        b.box((-0.28, 0.28), (-w, w), (0.0, 0.3), grey, top_x=(-0.2, 0.2))
        body = b.box((-0.18, 0.18), (-w, w), (0.3, tall), grey, top_x=(-0.1, 0.1))
        for face in (body, body + 2):
            b.decal(face, [(0.0, 1.0, 0.5, 0.75)], SIGNAL_YELLOW)
        return b.build()
    for y in (0.25 - w, w - 0.25):
        b.box((-0.27, 0.27), (y - 0.12, y + 0.12), (0.0, 0.14), CHASSIS)
        b.box((-0.05, 0.05), (y - 0.05, y + 0.05), (0.14, 0.45), SIGNAL_WHITE)
    board = b.box((-0.07, 0.07), (-w, w), (0.45, tall), SIGNAL_WHITE)
    stripes = [(u, u + 0.11, 0.0, 1.0) for u in np.arange(0.0, 0.95, 0.22) + 0.03]
    for face in (board, board + 2):
        b.decal(face, stripes, SIGNAL_ORANGE)
    return b.build()


def make_building(rng: np.random.Generator, length: float, depth: float, height: float) -> Shape:
    """Make a house of a length (x), depth (y) and height [m], with rows of windows and shops."""
    b = ShapeBuilder()
    base = vary(
        [
            (120, 140, 165),
            (150, 160, 168),
            (95, 105, 140),
            (165, 165, 160),
            (120, 135, 120),
            (150, 130, 125),
            (80, 95, 125),
        ][rng.integers(7)],
        rng,
    )
    glass = vary((105, 92, 80), rng, 0.12)
    ground = 4.0
    low = b.box((0, length), (0, depth), (0, ground), shade(base, 0.8))
    high = b.box((0, length), (0, depth), (ground, height), base)
    floors, style = max(1, int((height - ground) / 3.3)), rng.integers(3)
    for i in range(4):
        span = depth if i in (0, 2) else length
        rows = [(f + 0.25) / floors for f in range(floors)]
        tall = 0.5 / floors
        if style == 0:
            windows = [(0.02, 0.98, v, v + tall) for v in rows]
        else:
            columns = max(2, int(span / (3.2 if style == 1 else 2.2)))
            wide = (0.5 if style == 1 else 0.36) / columns
            windows = [
                ((c + 0.5) / columns - 0.5 * wide, (c + 0.5) / columns + 0.5 * wide, v, v + tall)
                for v in rows
                for c in range(columns)
            ]
        b.decal(high + i, windows, glass)
        shops = max(1, int(span / 5.0))
        b.decal(
            low + i,
            [((c + 0.1) / shops, (c + 0.9) / shops, 0.1, 0.7) for c in range(shops)],
            shade(glass, 0.75),
        )
        b.decal(low + i, [(0.0, 1.0, 0.78, 0.92)], vary((90, 110, 130), rng, 0.25))
    return b.build(margin=0.0)


def make_hedge(rng: np.random.Generator, length: float, height: float) -> Shape:
    """Make a trimmed hedge or a low wall of a length (x) and height [m]."""
    b, half = ShapeBuilder(), 0.5 * length
    if rng.random() < 0.7:
        green = vary((45, 88, 58), rng, 0.15)
        face = b.box(
            (-half, half),
            (-0.3, 0.3),
            (0.0, height),
            green,
            top_x=(0.1 - half, half - 0.1),
            top_y=(-0.24, 0.24),
        )
        tufts = [
            (u, u + 0.5 / length, v, v + 0.25) for u, v in rng.random((int(4 * length), 2)) * 0.75
        ]
        b.decal(face + 1, tufts, shade(green, 0.88))
        b.decal(face + 3, tufts, shade(green, 0.88))
        return b.build(margin=0.0)
    stone = vary((130, 140, 150), rng)
    face = b.box((-half, half), (-0.2, 0.2), (0.0, height), stone)
    for side in (face + 1, face + 3):
        b.decal(side, [(0.0, 1.0, 0.9, 1.0)], shade(stone, 1.15))
        b.decal(side, [(0.0, 1.0, 0.3, 0.33), (0.0, 1.0, 0.6, 0.63)], shade(stone, 0.85))
    return b.build(margin=0.0)


def make_trunk(rng: np.random.Generator, height: float) -> Shape:
    """Make the trunk of a tree of a height [m]."""
    b = ShapeBuilder()
    b.cylinder(0, 0, 0, 0.2, 0.13, height, 6, vary((50, 70, 90), rng))
    return b.build(margin=0.0)


def make_canopy(rng: np.random.Generator) -> Shape:
    """Make the crown of a tree."""
    b, r, tall = ShapeBuilder(), rng.uniform(1.4, 2.2), rng.uniform(2.2, 4.0)
    green = vary((50, 105, 70) if rng.random() < 0.8 else (45, 110, 150), rng, 0.15)
    b.cylinder(0, 0, 0, 0.65 * r, r, 0.3 * tall, 9, shade(green, 0.75))
    b.cylinder(0, 0, 0.3 * tall, r, 0.85 * r, 0.3 * tall, 9, shade(green, 0.9))
    b.cylinder(0, 0, 0.6 * tall, 0.85 * r, 0.3 * r, 0.4 * tall, 9, green)
    return b.build(margin=0.0)


def make_lamp(rng: np.random.Generator) -> Shape:
    """Make the pole of a street lamp."""
    b = ShapeBuilder()
    b.cylinder(0, 0, 0, 0.1, 0.07, rng.uniform(6.0, 8.0), 6, vary((110, 115, 115), rng))
    return b.build(margin=0.0)
