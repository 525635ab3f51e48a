"""Cars, trucks, buses and trailers: bodies of tapered boxes on wheels.

Front and rear of all vehicles differ (white lamps and grille or red lamps and plate), so that their
heading can be predicted from their appearance.
"""

from itertools import pairwise

import numpy as np

from bev.lab.synthetic.objects.palette import (
    CHASSIS,
    GLASS,
    HEADLAMP,
    PLATE,
    RIM,
    RUBBER,
    SIGNAL_ORANGE,
    SIGNAL_WHITE,
    TAILLAMP,
    body_colour,
    shade,
    vary,
)
from bev.lab.synthetic.objects.shape import Shape, ShapeBuilder


def _wheels(b: ShapeBuilder, body: int, length: float, height: float, x: list, r: float, up: float):
    """Add wheel discs to both sides of a body.

    Args:
        b: builder of the vehicle.
        body: index of the body's first face.
        length: length of the body, metres; its rear end is at x = 0.
        height: height of the body, metres.
        x: positions of the wheels along the body, metres.
        r: radius of the wheels, metres.
        up: height of the body's underside above the ground, metres.
    """
    v = (r - up) / height
    left = [(1.0 - a / length, v) for a in x]
    right = [(a / length, v) for a in x]
    for face, centres in ((body + 1, left), (body + 3, right)):
        b.disc(face, centres, r, RUBBER)
        b.disc(face, centres, 0.55 * r, RIM)


def _lamps(b: ShapeBuilder, front: int, back: int, low: float, high: float, wide: float):
    b.decal(front, [(0.04, 0.04 + wide, low, high), (0.96 - wide, 0.96, low, high)], HEADLAMP, 0.6)
    b.decal(back, [(0.04, 0.04 + wide, low, high), (0.96 - wide, 0.96, low, high)], TAILLAMP, 0.45)


def _tyres_end_on(b: ShapeBuilder, face: int, drop: float):
    """Add the tyres visible below a front or rear face; ``drop`` is in face heights."""
    b.decal(face, [(0.05, 0.2, -drop, 0.0), (0.8, 0.95, -drop, 0.0)], RUBBER)


def make_car(rng: np.random.Generator) -> Shape:
    """Make a car: a sedan, a hatchback, an estate/SUV or a van."""
    kind = rng.choice(["sedan", "hatch", "suv", "van"], p=[0.4, 0.2, 0.28, 0.12])
    length = {"sedan": 4.7, "hatch": 4.1, "suv": 4.75, "van": 5.0}[kind] * rng.uniform(0.95, 1.06)
    width = {"sedan": 1.85, "hatch": 1.78, "suv": 1.95, "van": 2.0}[kind] * rng.uniform(0.97, 1.04)
    height = {"sedan": 1.45, "hatch": 1.5, "suv": 1.75, "van": 2.05}[kind] * rng.uniform(0.97, 1.05)
    colour, b = body_colour(rng), ShapeBuilder()
    w, up = 0.5 * width, 0.26
    waist = {"sedan": 0.62, "hatch": 0.62, "suv": 0.6, "van": 0.55}[kind] * height
    nose = {"sedan": 0.27, "hatch": 0.24, "suv": 0.25, "van": 0.13}[kind] * length
    tail = {"sedan": 0.15, "hatch": 0.03, "suv": 0.02, "van": 0.01}[kind] * length
    b.box((0.15, length - 0.15), (0.12 - w, w - 0.12), (0.0, up), CHASSIS)
    body = b.box(
        (0.0, length),
        (-w, w),
        (up, waist),
        colour,
        top_x=(0.06, length - (0.3 if kind != "van" else 0.1)),
        top_y=(0.05 - w, w - 0.05),
    )
    slope_front, slope_back = 0.55 + 0.1 * rng.random(), 0.5 if kind == "sedan" else 0.2
    cabin = b.box(
        (tail + 0.06, length - nose - 0.05),
        (0.07 - w, w - 0.07),
        (waist, height),
        colour,
        top_x=(tail + 0.06 + slope_back, length - nose - slope_front),
        top_y=(0.24 - w, w - 0.24),
    )
    b.decal(cabin, [(0.05, 0.95, 0.08, 0.92)], GLASS)
    b.decal(cabin + 2, [(0.08, 0.92, 0.15, 0.88)], GLASS)
    if kind == "van" and rng.random() < 0.5:
        b.decal(cabin + 1, [(0.05, 0.3, 0.1, 0.85)], GLASS)
        b.decal(cabin + 3, [(0.7, 0.95, 0.1, 0.85)], GLASS)
    else:
        b.decal(cabin + 1, [(0.06, 0.46, 0.1, 0.88), (0.5, 0.93, 0.1, 0.88)], GLASS)
        b.decal(cabin + 3, [(0.07, 0.5, 0.1, 0.88), (0.54, 0.94, 0.1, 0.88)], GLASS)
    _lamps(b, body, body + 2, 0.5, 0.78, rng.uniform(0.16, 0.24))
    b.decal(body, [(0.3, 0.7, 0.25, 0.6)], shade(colour, 0.25))
    b.decal(body, [(0.0, 1.0, 0.0, 0.12)], CHASSIS)
    b.decal(body + 2, [(0.36, 0.64, 0.3, 0.52)], PLATE)
    b.decal(body + 2, [(0.0, 1.0, 0.0, 0.14)], CHASSIS)
    for face in (body + 1, body + 3):
        b.decal(face, [(0.02, 0.98, 0.0, 0.1)], CHASSIS)
        b.decal(face, [(0.45, 0.455, 0.12, 0.97)], shade(colour, 0.6))
    _tyres_end_on(b, body, up / (waist - up))
    _tyres_end_on(b, body + 2, up / (waist - up))
    radius = 0.33 if kind in ("sedan", "hatch") else 0.37
    _wheels(b, body, length, waist - up, [0.19 * length, 0.81 * length], radius, up)
    return b.build()


def _cab(b: ShapeBuilder, x0: float, x1: float, w: float, up: float, top: float, colour) -> int:
    cab = b.box(
        (x0, x1), (-w, w), (up, top), colour, top_x=(x0, x1 - 0.3), top_y=(0.08 - w, w - 0.08)
    )
    b.decal(cab, [(0.07, 0.93, 0.5, 0.88)], GLASS)
    b.decal(cab, [(0.22, 0.78, 0.14, 0.4)], shade(colour, 0.3))
    b.decal(cab, [(0.03, 0.2, 0.06, 0.2), (0.8, 0.97, 0.06, 0.2)], HEADLAMP, 0.6)
    b.decal(cab + 1, [(0.2, 0.8, 0.5, 0.85)], GLASS)
    b.decal(cab + 3, [(0.2, 0.8, 0.5, 0.85)], GLASS)
    return cab


def make_truck(rng: np.random.Generator) -> Shape:
    """Make a truck: a cab and, behind a gap, a cargo box, a flat bed with a load, or a tipper."""
    kind = rng.choice(["box", "flat", "tipper"], p=[0.55, 0.22, 0.23])
    length, width = rng.uniform(6.2, 8.8), rng.uniform(2.3, 2.6)
    colour, b, w = body_colour(rng), ShapeBuilder(), 0.5 * width
    cab_length, up = rng.uniform(1.7, 2.1), 0.75
    cab_top = rng.uniform(2.5, 2.9)
    bed = length - cab_length - 0.25
    b.box((0.2, length - 0.2), (0.25 - w, w - 0.25), (0.0, up - 0.02), CHASSIS)
    cab = _cab(b, length - cab_length, length, w - 0.05, up, cab_top, colour)
    floor = up + 0.12
    if kind == "box":
        top, paint = rng.uniform(3.0, 3.7), vary((200, 203, 205), rng)
        cargo = b.box((0.0, bed), (-w, w), (floor, top), paint)
        b.decal(
            cargo + 2, [(0.04, 0.485, 0.05, 0.95), (0.515, 0.96, 0.05, 0.95)], shade(paint, 0.82)
        )
        stripe = [(0.0, 1.0, 0.3, 0.5)] if rng.random() < 0.5 else [(0.25, 0.75, 0.35, 0.8)]
        for face in (cargo + 1, cargo + 3):
            b.decal(face, stripe, colour)
            b.decal(face, [(0.0, 1.0, 0.0, 0.03)], CHASSIS)
    elif kind == "flat":
        top = floor + 0.45
        cargo = b.box((0.0, bed), (-w, w), (floor, top), colour)
        start = rng.uniform(0.2, 0.8)
        b.box(
            (start, bed - rng.uniform(0.2, 1.0)),
            (0.2 - w, w - 0.2),
            (top, top + rng.uniform(0.5, 1.3)),
            vary((90, 120, 150), rng),
        )
    else:
        top = floor + rng.uniform(1.1, 1.5)
        cargo = b.box(
            (0.15, bed), (0.15 - w, w - 0.15), (floor, top), colour, top_x=(0.0, bed), top_y=(-w, w)
        )
        ribs = [(u, u + 0.02, 0.02, 0.98) for u in np.linspace(0.1, 0.88, 6)]
        b.decal(cargo + 1, ribs, shade(colour, 0.65))
        b.decal(cargo + 3, ribs, shade(colour, 0.65))
        b.decal(cargo + 2, [(0.08, 0.92, 0.1, 0.9)], shade(colour, 0.7))
    tall = top - floor
    b.decal(
        cargo + 2,
        [(0.03, 0.16, -0.22 / tall, 0.0), (0.84, 0.97, -0.22 / tall, 0.0)],
        TAILLAMP,
        0.45,
    )
    b.decal(cargo + 2, [(0.38, 0.62, -0.2 / tall, -0.03)], PLATE)
    _tyres_end_on(b, cab, up / (cab_top - up))
    _tyres_end_on(b, cargo + 2, 0.95 * floor / tall)
    _wheels(b, cab, cab_length, cab_top - up, [0.55 * cab_length], 0.48, up)
    _wheels(b, cargo, bed, tall, [0.16 * length, 0.16 * length + 1.05], 0.48, floor)
    return b.build()


def make_bus(rng: np.random.Generator) -> Shape:
    """Make a bus: a long box with a row of windows, doors on the right and a large windscreen."""
    length, width, top = rng.uniform(10.0, 12.6), rng.uniform(2.65, 2.95), rng.uniform(2.95, 3.25)
    colour, b, w, up = body_colour(rng), ShapeBuilder(), 0.5 * width, 0.32
    b.box((0.2, length - 0.2), (0.2 - w, w - 0.2), (0.0, up), CHASSIS)
    body = b.box(
        (0.0, length),
        (-w, w),
        (up, top),
        colour,
        top_y=(0.06 - w, w - 0.06),
        top_x=(0.05, length - 0.1),
    )
    b.box(
        (0.3 * length, 0.62 * length), (0.45 - w, w - 0.45), (top, top + 0.28), shade(colour, 0.8)
    )
    second = vary((190, 190, 185), rng) if rng.random() < 0.6 else shade(colour, 0.55)
    edges = np.linspace(0.02, 0.98, int(length / 1.35))
    panes = [(a + 0.006, c - 0.006, 0.47, 0.84) for a, c in pairwise(edges)]
    for face in (body + 1, body + 3):
        b.decal(face, [(0.0, 1.0, 0.12, 0.3)], second)
        b.decal(face, [(0.01, 0.99, 0.45, 0.86)], shade(GLASS, 0.6))
        b.decal(face, panes, GLASS)
    b.decal(body + 3, [(0.86, 0.95, 0.02, 0.84), (0.47, 0.58, 0.02, 0.84)], shade(GLASS, 0.8))
    b.decal(body, [(0.04, 0.96, 0.33, 0.83)], GLASS)
    b.decal(body, [(0.2, 0.8, 0.87, 0.97)], SIGNAL_ORANGE, 0.5)
    b.decal(body + 2, [(0.15, 0.85, 0.55, 0.85)], GLASS)
    b.decal(body + 2, [(0.2, 0.8, 0.12, 0.42)], shade(colour, 0.5))
    _lamps(b, body, body + 2, 0.08, 0.2, 0.14)
    _tyres_end_on(b, body, up / (top - up))
    _tyres_end_on(b, body + 2, up / (top - up))
    _wheels(b, body, length, top - up, [0.24 * length, 0.79 * length], 0.5, up)
    return b.build()


def make_trailer(rng: np.random.Generator) -> Shape:
    """Make a trailer: a cargo body with wheels at the rear, landing legs in front, rear doors."""
    length, width, top = rng.uniform(8.5, 12.5), rng.uniform(2.45, 2.65), rng.uniform(3.4, 4.0)
    colour, b, w, floor = body_colour(rng), ShapeBuilder(), 0.5 * width, 1.1
    b.box((0.3, 0.36 * length), (0.3 - w, w - 0.3), (0.0, 0.95), CHASSIS)
    for side in (-1.0, 1.0):
        y = side * 0.55 * w
        b.box(
            (0.74 * length, 0.74 * length + 0.2),
            (y - 0.09, y + 0.09),
            (0.02, floor - 0.05),
            CHASSIS,
        )
    cargo = b.box((0.0, length), (-w, w), (floor, top), colour)
    tall = top - floor
    ribs = [(u, u + 0.008, 0.05, 1.0) for u in np.linspace(0.04, 0.95, 10)]
    marks = [(u, u + 0.03, 0.0, 0.045) for u in np.linspace(0.02, 0.93, 12)]
    for face in (cargo + 1, cargo + 3):
        b.decal(face, ribs, shade(colour, 0.72))
        b.decal(face, [(0.0, 1.0, 0.0, 0.05)], SIGNAL_WHITE)
        b.decal(face, marks, TAILLAMP)
    b.decal(cargo + 2, [(0.03, 0.485, 0.04, 0.96), (0.515, 0.97, 0.04, 0.96)], shade(colour, 0.85))
    b.decal(cargo + 2, [(0.25, 0.27, 0.05, 0.95), (0.73, 0.75, 0.05, 0.95)], shade(colour, 0.5))
    b.decal(cargo + 2, [(0.0, 1.0, -0.08, 0.0)], SIGNAL_WHITE)
    b.decal(cargo + 2, [(0.02, 0.18, -0.14, -0.02), (0.82, 0.98, -0.14, -0.02)], TAILLAMP, 0.45)
    b.decal(cargo, [(0.2, 0.8, 0.25, 0.3), (0.2, 0.8, 0.6, 0.65)], shade(colour, 0.6))
    _tyres_end_on(b, cargo + 2, 0.97 * floor / tall)
    _wheels(
        b, cargo, length, tall, [0.1 * length, 0.1 * length + 1.1, 0.1 * length + 2.2], 0.48, floor
    )
    return b.build()
