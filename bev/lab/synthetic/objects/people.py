"""Pedestrians and riders of cycles, with legs, trunk, arms and head."""

import numpy as np

from bev.lab.synthetic.objects.palette import (
    RUBBER,
    SIGNAL_ORANGE,
    SIGNAL_YELLOW,
    clothing_colour,
    shade,
    skin_colour,
    vary,
)
from bev.lab.synthetic.objects.shape import Shape, ShapeBuilder


def _head(b: ShapeBuilder, x: float, z: float, skin, hair, helmet: bool) -> None:
    face = b.box(
        (x - 0.1, x + 0.1),
        (-0.085, 0.085),
        (z, z + 0.24),
        skin if not helmet else hair,
        top_x=(x - 0.09, x + 0.08),
        top_y=(-0.07, 0.07),
    )
    if helmet:
        b.decal(face, [(0.1, 0.9, 0.25, 0.65)], RUBBER)
        return
    b.decal(face, [(0.0, 1.0, 0.75, 1.0)], hair)
    for side in (face + 1, face + 3):
        b.decal(side, [(0.0, 1.0, 0.68, 1.0)], hair)
    b.decal(face + 2, [(0.0, 1.0, 0.25, 1.0)], hair)
    b.decal(face + 4, [(0.0, 1.0, 0.0, 1.0)], hair)


def make_pedestrian(rng: np.random.Generator, posture: str, worker: bool = False) -> Shape:
    """Make a pedestrian.

    Args:
        rng: generator of all random choices.
        posture: "moving", "standing" or "sitting".
        worker: True for the clothes of a road worker.
    """
    tall = rng.uniform(1.58, 1.9) if rng.random() < 0.85 else rng.uniform(1.1, 1.45)
    b, k = ShapeBuilder(), tall / 1.75
    trousers, shirt = clothing_colour(rng), clothing_colour(rng)
    if worker:
        shirt = SIGNAL_ORANGE if rng.random() < 0.5 else SIGNAL_YELLOW
    skin, hair = skin_colour(rng), vary((35, 45, 60), rng, 0.3)
    if worker:
        hair = SIGNAL_YELLOW
    wide = rng.uniform(0.2, 0.26) * k
    if posture == "sitting":
        hip = 0.5 * k
        b.box((-0.25, 0.2), (-0.3, 0.3), (0.0, hip - 0.02), (70, 85, 105))
        for y in (-0.11, 0.11):
            b.box((0.22, 0.36), (y - 0.08, y + 0.08), (0.0, hip), trousers)
        b.box((-0.2, 0.42), (-0.19, 0.19), (hip, hip + 0.15), trousers)
        base = hip + 0.16
        b.box((-0.2, 0.05), (-wide, wide), (base, base + 0.52 * k), shirt)
        _head(b, -0.06, base + 0.54 * k, skin, hair, False)
        return b.build()
    stride = rng.uniform(0.16, 0.26) * k if posture == "moving" else 0.02
    hip = 0.84 * k
    for y, step in ((-0.1, stride), (0.1, -stride)):
        b.box(
            (step - 0.1, step + 0.14),
            (y - 0.07, y + 0.07),
            (0.0, 0.5 * hip),
            shade(trousers, 0.8),
            top_x=(0.6 * step - 0.08, 0.6 * step + 0.09),
        )
        b.box(
            (0.6 * step - 0.09, 0.6 * step + 0.1),
            (y - 0.08, y + 0.08),
            (0.5 * hip, hip),
            trousers,
            top_x=(-0.1, 0.1),
        )
    chest = b.box(
        (-0.12, 0.12),
        (-0.8 * wide, 0.8 * wide),
        (hip, 1.46 * k),
        shirt,
        top_x=(-0.13, 0.13),
        top_y=(-wide, wide),
    )
    if worker:
        for face in range(chest, chest + 4):
            b.decal(face, [(0.0, 1.0, 0.3, 0.42), (0.0, 1.0, 0.6, 0.7)], (210, 215, 215))
    elif rng.random() < 0.4:
        b.decal(chest + 2, [(0.12, 0.88, 0.2, 0.95)], clothing_colour(rng))
    for y, swing in ((-wide - 0.06, -stride), (wide + 0.06, stride)):
        b.box(
            (swing - 0.06, swing + 0.07),
            (y - 0.05, y + 0.05),
            (0.9 * k, 1.42 * k),
            shade(shirt, 0.85),
            top_x=(-0.07, 0.07),
        )
    _head(b, 0.02, 1.49 * k, skin, hair, False)
    return b.build(margin=0.02)


def add_rider(
    b: ShapeBuilder, rng: np.random.Generator, x: float, saddle: float, lean: float, foot: float
) -> None:
    """Add a rider to the shape of a cycle.

    Args:
        b: builder of the cycle.
        rng: generator of all random choices.
        x: position of the seat along the cycle, metres.
        saddle: height of the seat, metres.
        lean: forward offset of the shoulders, metres.
        foot: height of the feet, metres.
    """
    trousers, shirt = clothing_colour(rng), clothing_colour(rng)
    for y in (-0.17, 0.17):
        b.box(
            (x + 0.12, x + 0.32),
            (y - 0.07, y + 0.07),
            (foot, saddle + 0.08),
            trousers,
            top_x=(x, x + 0.3),
        )
    shoulder = saddle + 0.62
    b.box(
        (x - 0.14, x + 0.14),
        (-0.17, 0.17),
        (saddle + 0.1, shoulder),
        shirt,
        top_x=(x - 0.12 + lean, x + 0.14 + lean),
        top_y=(-0.22, 0.22),
    )
    for y in (-0.28, 0.28):
        b.box(
            (x + lean, x + lean + 0.5),
            (y - 0.05, y + 0.05),
            (shoulder - 0.3, shoulder - 0.16),
            shade(shirt, 0.85),
            pitch=-0.35,
        )
    _head(b, x + lean + 0.08, shoulder + 0.03, skin_colour(rng), clothing_colour(rng), True)
