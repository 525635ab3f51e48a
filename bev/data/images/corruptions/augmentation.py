"""Corruptions as augmentation in training."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from bev.bounds import Bound, Length, Probability, check_bounds

if TYPE_CHECKING:  # imports OpenCV
    from bev.data.images.corruptions.corruption import Corruption

PixelKind = Literal["ColorQuant", "MotionBlur", "Brightness", "LowLight", "Fog", "Snow"]
_Severity = Annotated[int, Bound(least=1, most=5)]


@dataclass(frozen=True)
class CorruptionAugmentation:
    """Random corruption of images in training, see ``bev.data.images.corruptions.corruption``.

    A camera that fails is another setting, ``data.drop_cameras``.

    Attributes:
        probability: probability that an image is corrupted; 0 is off.
        kinds: corruptions, one of which is drawn for each corrupted image.
        severities: severities, one of which is drawn; 5 is 4 for ColorQuant and LowLight.
    """

    probability: Probability = 0.0
    kinds: Annotated[tuple[PixelKind, ...], Length(least=1)] = (
        "ColorQuant", "MotionBlur", "Brightness", "LowLight", "Fog", "Snow",
    )  # fmt: skip
    severities: Annotated[tuple[_Severity, ...], Length(least=1)] = (1, 2, 3, 4, 5)

    def __post_init__(self) -> None:
        check_bounds(self)

    def drawn(self, seed: int) -> "Corruption | None":
        """Draw the corruption of a camera's images in one sample; None for none."""
        if self.probability == 0:
            return None
        rng = np.random.default_rng([seed, 2])
        if rng.random() >= self.probability:
            return None
        from bev.data.images.corruptions.corruption import Corruption, most_severe

        kind = self.kinds[rng.integers(len(self.kinds))]
        severity = self.severities[rng.integers(len(self.severities))]
        return Corruption(kind, min(severity, most_severe(kind)), int(rng.integers(2**32)))
