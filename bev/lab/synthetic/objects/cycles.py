"""Motorcycles and bicycles, with and without riders.

Motorcycles have a heavy body and wide wheels, bicycles a thin frame and larger, narrow wheels.
"""

import numpy as np

from bev.lab.synthetic.objects.palette import (
    CHASSIS,
    HEADLAMP,
    RIM,
    RUBBER,
    TAILLAMP,
    body_colour,
    shade,
)
from bev.lab.synthetic.objects.people import add_rider
from bev.lab.synthetic.objects.shape import Shape, ShapeBuilder


def make_motorcycle(rng: np.random.Generator, rider: bool) -> Shape:
    """Make a motorcycle, with or without a rider."""
    b, colour = ShapeBuilder(), body_colour(rng)
    length, r = rng.uniform(1.95, 2.2), rng.uniform(0.29, 0.33)
    rear, front = r, length - r
    for x in (rear, front):
        b.wheel(x, 0.0, r, r, 0.17, RUBBER)
        for y in (-0.1, 0.1):
            b.wheel(x, y, r, 0.55 * r, 0.02, RIM)
    b.box((rear + r + 0.02, front - r - 0.02), (-0.17, 0.17), (0.15, 0.58), CHASSIS)
    tank = b.box(
        (0.42 * length, 0.7 * length),
        (-0.19, 0.19),
        (0.6, 0.98),
        colour,
        top_x=(0.45 * length, 0.66 * length),
        top_y=(-0.14, 0.14),
    )
    b.decal(tank + 1, [(0.1, 0.9, 0.3, 0.5)], shade(colour, 0.5))
    b.decal(tank + 3, [(0.1, 0.9, 0.3, 0.5)], shade(colour, 0.5))
    seat = b.box(
        (0.05 * length, 0.4 * length),
        (-0.15, 0.15),
        (2 * r + 0.02, 0.82),
        colour,
        top_x=(0.02 * length, 0.4 * length),
    )
    b.decal(seat + 4, [(0.0, 1.0, 0.0, 1.0)], RUBBER)
    b.decal(seat + 2, [(0.15, 0.85, 0.35, 0.85)], TAILLAMP, 0.5)
    mask = b.box(
        (0.74 * length, 0.9 * length),
        (-0.2, 0.2),
        (2 * r + 0.05, 1.08),
        colour,
        top_x=(0.72 * length, 0.8 * length),
    )
    b.decal(mask, [(0.2, 0.8, 0.3, 0.8)], HEADLAMP, 0.6)
    b.box((0.7 * length, 0.75 * length), (-0.38, 0.38), (1.1, 1.18), CHASSIS)
    if rider:
        add_rider(b, rng, 0.3 * length, 0.84, 0.28, 0.25)
    return b.build(margin=0.02)


def make_bicycle(rng: np.random.Generator, rider: bool) -> Shape:
    """Make a bicycle, with or without a rider."""
    b, colour = ShapeBuilder(), body_colour(rng)
    length, r = rng.uniform(1.65, 1.82), rng.uniform(0.32, 0.36)
    rear, front = r, length - r
    for x in (rear, front):
        b.wheel(x, 0.0, r, r, 0.06, RUBBER)
        for y in (-0.04, 0.04):
            b.wheel(x, y, r, 0.8 * r, 0.01, (150, 155, 155))
    saddle_x = rear + 0.28
    b.box((saddle_x - 0.03, saddle_x + 0.05), (-0.035, 0.035), (0.3, 0.86), colour)
    b.box((saddle_x + 0.07, front - 0.16), (-0.035, 0.035), (0.74, 0.82), colour)
    middle = 0.5 * (saddle_x + 0.07 + front - 0.16)
    b.box((middle - 0.26, middle + 0.26), (-0.035, 0.035), (0.46, 0.54), colour, pitch=0.75)
    b.box((front - 0.14, front - 0.07), (-0.035, 0.035), (0.55, 1.0), colour)
    b.box((saddle_x - 0.15, saddle_x + 0.13), (-0.08, 0.08), (0.88, 0.96), RUBBER)
    bar = b.box((front - 0.2, front - 0.1), (-0.3, 0.3), (1.02, 1.07), CHASSIS)
    b.decal(bar, [(0.42, 0.58, -1.5, 1.0)], HEADLAMP, 0.6)
    tail = b.box((rear - 0.2, rear + 0.06), (-0.05, 0.05), (2 * r + 0.02, 2 * r + 0.07), CHASSIS)
    b.decal(tail + 2, [(0.0, 1.0, -0.8, 1.0)], TAILLAMP, 0.5)
    if rider:
        add_rider(b, rng, saddle_x - 0.05, 0.96, 0.2, 0.2)
    return b.build(margin=0.02)
