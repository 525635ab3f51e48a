"""GridMask augmentation (Chen et al. 2020, section 3.1): masks a lattice of squares in each image.

Masked pixels get ImageNet's mean colour, which is zero after the backbone's normalisation. All
images of one camera in a sample, adjacent frames included, share the same mask, so that masked
content is not visible in an adjacent frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from bev.bounds import Ascending, Bound, Probability, check_bounds

_MEAN = (124, 116, 104)  # 255 times (0.485, 0.456, 0.406), rounded: red, green, blue

_Pixels = Annotated[int, Bound(least=2)]


@dataclass(frozen=True)
class GridMask:
    """Settings of GridMask.

    Attributes:
        probability: probability that an image is masked; 0 is off.
        ratio: fraction of each period that is kept along a row or column (r in the paper): the
            masked squares have sides of (1 - ratio) periods, and 2 ratio - ratio^2 of the image is
            kept.
        period: range of the lattice period (inclusive), pixels of the network's image. The default
            is that of the paper, for images of 224 pixels.
    """

    probability: Probability = 0.0
    ratio: Annotated[float, Bound(above=0, below=1)] = 0.5
    period: Annotated[tuple[_Pixels, _Pixels], Ascending(strict=False)] = (96, 224)

    def __post_init__(self) -> None:
        check_bounds(self)


def hide_squares(
    images: UInt8[Tensor, "N 3 H W"], config: GridMask, seeds: Sequence[int]
) -> UInt8[Tensor, "N 3 H W"]:
    """Mask each of N images with its own seed."""
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
    """Mask that is True in the squares of a lattice.

    Args:
        size: (H, W) of the mask, pixels.
        period: distance between squares along rows and columns, pixels.
        ratio: fraction of the period between squares; the sides of the squares are rounded to
            whole pixels.
        offset: (row, column) of the top left corner of one square, each in [0, period).
    """
    side = round((1 - ratio) * period)
    rows, columns = (
        torch.remainder(torch.arange(length) - start, period) < side
        for length, start in zip(size, offset, strict=True)
    )
    return rows.unsqueeze(1) & columns
