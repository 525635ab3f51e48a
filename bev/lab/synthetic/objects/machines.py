"""Construction vehicles: an excavator on tracks and a wheel loader."""

import numpy as np

from bev.lab.synthetic.objects.palette import (
    CHASSIS,
    GLASS,
    HEADLAMP,
    RIM,
    RUBBER,
    TAILLAMP,
    body_colour,
    shade,
)
from bev.lab.synthetic.objects.shape import Shape, ShapeBuilder


def _excavator(rng: np.random.Generator, b: ShapeBuilder) -> None:
    colour = body_colour(rng)
    track, w = rng.uniform(3.4, 4.2), rng.uniform(1.2, 1.4)
    for side in (-1.0, 1.0):
        y = sorted((side * w, side * (w - 0.5)))
        face = b.box((0.0, track), y, (0.0, 0.85), RUBBER, top_x=(0.2, track - 0.2))
        for s in (face + 1, face + 3):
            b.disc(s, [(u, 0.48) for u in (0.12, 0.31, 0.5, 0.69, 0.88)], 0.24, CHASSIS)
            b.disc(s, [(0.12, 0.48), (0.88, 0.48)], 0.12, RIM)
    b.box((0.4, track - 0.4), (0.52 - w, w - 0.52), (0.3, 1.0), CHASSIS)
    house = b.box(
        (-0.5, track - 0.9), (0.05 - w, w - 0.05), (1.02, 2.0), colour, top_y=(0.12 - w, w - 0.12)
    )
    b.decal(house + 2, [(0.05, 0.95, 0.05, 0.55)], shade(colour, 0.45))
    b.decal(house + 2, [(0.06, 0.18, 0.6, 0.8), (0.82, 0.94, 0.6, 0.8)], TAILLAMP, 0.4)
    for face in (house + 1, house + 3):
        b.decal(face, [(0.08, 0.4, 0.3, 0.75)], shade(colour, 0.4))
    front = track - 0.9
    cab = b.box(
        (front - 1.5, front),
        (0.15, w - 0.05),
        (2.02, 3.0),
        colour,
        top_x=(front - 1.4, front - 0.25),
    )
    b.decal(cab, [(0.06, 0.94, 0.05, 0.92)], GLASS)
    b.decal(cab, [(0.02, 0.12, 0.93, 1.0), (0.88, 0.98, 0.93, 1.0)], HEADLAMP, 0.5)
    b.decal(cab + 1, [(0.08, 0.92, 0.15, 0.92)], GLASS)
    b.decal(cab + 3, [(0.08, 0.92, 0.15, 0.92)], GLASS)
    b.decal(cab + 2, [(0.15, 0.85, 0.3, 0.9)], GLASS)
    reach, lift = rng.uniform(2.2, 2.9), rng.uniform(0.5, 0.75)
    middle = front + 0.05 + 0.5 * reach * np.cos(lift)
    b.box(
        (middle - 0.5 * reach, middle + 0.5 * reach),
        (-0.55, -0.15),
        (1.6 + 0.5 * reach * np.sin(lift), 2.1 + 0.5 * reach * np.sin(lift)),
        colour,
        pitch=lift,
    )
    tip_x, tip_z = front + reach * np.cos(lift) + 0.2, 1.85 + reach * np.sin(lift)
    b.box(
        (tip_x, tip_x + 0.45),
        (-0.53, -0.17),
        (0.9, tip_z - 0.1),
        colour,
        top_x=(tip_x - 0.1, tip_x + 0.25),
    )
    b.box(
        (tip_x - 0.35, tip_x + 0.45),
        (-0.85, 0.15),
        (0.2, 0.88),
        CHASSIS,
        top_x=(tip_x, tip_x + 0.5),
    )


def _loader(rng: np.random.Generator, b: ShapeBuilder) -> None:
    colour = body_colour(rng)
    length, w, r = rng.uniform(4.2, 5.0), rng.uniform(1.15, 1.35), rng.uniform(0.65, 0.75)
    for x in (r + 0.15, length - r - 0.1):
        for side in (-1.0, 1.0):
            b.wheel(x, side * (w - 0.26), r, r, 0.52, RUBBER)
    b.box((0.3, length - 0.4), (0.55 - w, w - 0.55), (0.45, 0.95), CHASSIS)
    rear = b.box(
        (0.0, 0.42 * length),
        (0.12 - w, w - 0.12),
        (2 * r + 0.03, 2 * r + 0.75),
        colour,
        top_x=(0.15, 0.42 * length),
    )
    b.decal(rear + 2, [(0.2, 0.8, 0.1, 0.8)], shade(colour, 0.4))
    b.decal(rear + 2, [(0.03, 0.15, 0.5, 0.8), (0.85, 0.97, 0.5, 0.8)], TAILLAMP, 0.4)
    for face in (rear + 1, rear + 3):
        b.decal(face, [(0.2, 0.8, 0.25, 0.7)], shade(colour, 0.5))
    c0, c1 = 0.43 * length, 0.72 * length
    cab = b.box(
        (c0, c1), (0.35 - w, w - 0.35), (2 * r + 0.03, 3.1), colour, top_x=(c0 + 0.05, c1 - 0.2)
    )
    b.decal(cab, [(0.06, 0.94, 0.2, 0.9)], GLASS)
    b.decal(cab, [(0.0, 0.14, 0.92, 1.0), (0.86, 1.0, 0.92, 1.0)], HEADLAMP, 0.5)
    for face in (cab + 1, cab + 2, cab + 3):
        b.decal(face, [(0.1, 0.9, 0.35, 0.9)], GLASS)
    drop = rng.uniform(0.25, 0.4)
    middle = length - 0.1
    b.box((middle - 1.1, middle + 1.1), (-0.35, 0.35), (1.12, 1.5), colour, pitch=-drop)
    front = b.box(
        (length + 0.95, length + 1.5),
        (-w, w),
        (0.05, 1.15),
        shade(colour, 0.75),
        top_x=(length + 0.95, length + 2.0),
    )
    b.decal(front, [(0.03, 0.97, 0.1, 0.85)], CHASSIS)


def make_construction_vehicle(rng: np.random.Generator) -> Shape:
    """Make an excavator or a wheel loader."""
    b = ShapeBuilder()
    (_excavator if rng.random() < 0.5 else _loader)(rng, b)
    return b.build()
