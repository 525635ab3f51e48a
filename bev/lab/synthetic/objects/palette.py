"""Colours (blue, green, red) of objects.

All vehicle classes draw their body colours from one palette, so that colour alone does not identify
a class.
"""

import numpy as np

from bev.lab.synthetic.objects.shape import Colour

VEHICLE_BODY: tuple[Colour, ...] = (
    (215, 218, 220),  # white
    (165, 168, 170),  # silver
    (95, 98, 100),  # grey
    (45, 42, 40),  # black
    (40, 40, 165),  # red
    (135, 70, 35),  # blue
    (70, 95, 45),  # green
    (45, 165, 215),  # yellow
    (60, 80, 115),  # brown
    (55, 115, 215),  # orange
)
GLASS: Colour = (70, 58, 48)
RUBBER: Colour = (30, 29, 28)
RIM: Colour = (140, 140, 140)
CHASSIS: Colour = (48, 46, 45)
HEADLAMP: Colour = (225, 245, 250)
TAILLAMP: Colour = (35, 30, 205)
PLATE: Colour = (205, 210, 210)
SIGNAL_ORANGE: Colour = (25, 95, 235)
SIGNAL_RED: Colour = (45, 45, 195)
SIGNAL_WHITE: Colour = (225, 228, 230)
SIGNAL_YELLOW: Colour = (45, 190, 225)
CONCRETE: Colour = (150, 155, 158)

_CLOTHES: tuple[Colour, ...] = (
    (60, 50, 45),
    (150, 95, 60),
    (60, 60, 160),
    (190, 190, 190),
    (90, 130, 70),
    (50, 120, 190),
    (120, 60, 110),
    (35, 35, 40),
    (170, 150, 90),
)
_SKIN: tuple[Colour, ...] = ((150, 180, 220), (105, 140, 185), (60, 85, 130), (40, 55, 85))


def vary(colour: Colour, rng: np.random.Generator, spread: float = 0.08) -> Colour:
    """Random variation of a colour: of its brightness, and slightly of each channel."""
    gain = 1.0 + rng.normal(0.0, spread)
    blue, green, red = (
        float(np.clip(c * gain + rng.normal(0.0, 40.0 * spread), 8.0, 250.0)) for c in colour
    )
    return blue, green, red


def shade(colour: Colour, gain: float) -> Colour:
    """Colour times ``gain``, limited to 255."""
    blue, green, red = (float(min(255.0, c * gain)) for c in colour)
    return blue, green, red


def body_colour(rng: np.random.Generator) -> Colour:
    """Random body colour of a vehicle, from the palette of all vehicle classes."""
    return vary(VEHICLE_BODY[rng.integers(len(VEHICLE_BODY))], rng)


def clothing_colour(rng: np.random.Generator) -> Colour:
    """Random colour of clothing."""
    return vary(_CLOTHES[rng.integers(len(_CLOTHES))], rng)


def skin_colour(rng: np.random.Generator) -> Colour:
    """Random colour of skin."""
    return vary(_SKIN[rng.integers(len(_SKIN))], rng, 0.04)
