"""Colour quantisation and low light of RoboBEV.

Xie et al., RoboBEV: Towards Robust Bird's Eye View Perception under Corruptions (2023), and the
authors' code. The severity itself is the index into the lists of low light, which begin at 0.
Images are (h, w, 3) uint8; the order of the channels does not matter.
"""

import numpy as np
from jaxtyping import UInt8

_LIGHT = (0.6, 0.5, 0.4, 0.3, 0.2)
_PHOTONS = (600, 250, 120, 50, 30)
_NOISE = (0.008, 0.012, 0.018, 0.026, 0.038)

Image = UInt8[np.ndarray, "h w 3"]


def color_quant(image: Image, severity: int) -> Image:
    """Keep the ``5 - severity`` highest bits of each channel."""
    lost = 8 - (5 - severity)
    return image & np.uint8(0xFF << lost & 0xFF)


def low_light(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Darken by a square, then add photon noise (Poisson) and read-out noise (Gaussian)."""
    light, photons = _LIGHT[severity], _PHOTONS[severity]
    low, high = int(image.min()), int(image.max())
    level = (np.arange(256) - low) / max(high - low, 1)
    expected = (np.clip(level, 0, 1) ** 2 * light * photons)[image]
    lit = rng.poisson(expected).astype(np.float32)
    lit /= np.float32(photons)
    np.minimum(lit, 1, out=lit)
    lit += rng.standard_normal(lit.shape, dtype=np.float32) * np.float32(_NOISE[severity])
    lit *= np.float32(255)
    return np.clip(lit, 0, 255, out=lit).astype(np.uint8)
