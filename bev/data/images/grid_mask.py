"""GridMask (Chen et al. 2020, section 3.1): a lattice of squares is hidden from each image.

Hidden pixels get ImageNet's mean colour, which is zero once the backbone has normalised the image.
All images of one camera in a sample, whatever their time, have the same mask: what is hidden is
not to be read from the frame before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from bev.errors import ConfigError

_MEAN = (124, 116, 104)  # 255 times (0.485, 0.456, 0.406), rounded: red, green, blue


@dataclass(frozen=True)
class GridMask:
    """Which images are masked, and how.

    Attributes:
        probability: that an image is masked; 0 is off.
        ratio: part of each period that is kept along a row or column (the paper's r): the hidden
            squares have sides of (1 - ratio) periods, and 2 ratio - ratio^2 of the image is kept.
        period: of the lattice, pixels of the network's image, drawn from this range, ends included.
            The default is the paper's, for images of 224 pixels.
    """

    probability: float = 0.0
    ratio: float = 0.5
    period: tuple[int, int] = (96, 224)

    def __post_init__(self) -> None:
        low, high = self.period
        if not (0 <= self.probability <= 1 and 0 < self.ratio < 1 and 2 <= low <= high):
            raise ConfigError(
                f"{self} needs a probability in [0, 1], a ratio in (0, 1), and a period of at least"
                " 2 pixels, as (lowest, highest)."
            )


def hide_squares(
    images: UInt8[Tensor, "N 3 H W"], config: GridMask, seeds: Sequence[int]
) -> UInt8[Tensor, "N 3 H W"]:
    """Mask each image by its own of the N seeds."""
    if config.probability == 0:
        return images
    images, mean = images.clone(), torch.tensor(_MEAN, dtype=torch.uint8).view(3, 1)
    for image, seed in zip(images, seeds, strict=True):
        rng = np.random.default_rng([seed, 1])
        if rng.random() < config.probability:
            period = int(rng.integers(config.period[0], config.period[1], endpoint=True))
            offset = rng.integers(period, size=2)
            hidden = lattice(image.shape[-2:], period, config.ratio, tuple(offset.tolist()))
            image[:, hidden] = mean
    return images


def lattice(
    size: tuple[int, int], period: int, ratio: float, offset: tuple[int, int]
) -> Bool[Tensor, "H W"]:
    """True in squares whose top left corners stand at ``offset`` (row, column) plus whole periods.

    Args:
        size: (H, W), pixels.
        period: pixels.
        ratio: part of the period between squares; their sides are rounded to whole pixels.
        offset: each in [0, period).
    """
    side = round((1 - ratio) * period)
    rows, columns = (
        torch.remainder(torch.arange(length) - start, period) < side
        for length, start in zip(size, offset, strict=True)
    )
    return rows.unsqueeze(1) & columns
