"""A corruption of RoboBEV at one severity, applied while images are loaded.

Xie et al. (2023) corrupt whole images before any crop, so an image is decoded at its full size,
corrupted, and then reduced as far as the decoder would have reduced it. What is drawn for an image
depends on the seed, the corruption, its severity and the image's file alone, which is that of one
camera in one sample: neither the order of loading nor the workers matter, and an image is the same
wherever it is used, also as that of an adjacent frame.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
from jaxtyping import UInt8

from bev.bounds import Count, Seed, check_bounds
from bev.data.images.corruptions import common, sensor
from bev.data.images.loading import Decode, decode

Kind = Literal[
    "CameraCrash", "FrameLost", "ColorQuant", "MotionBlur", "Brightness", "LowLight", "Fog", "Snow"
]
KINDS: tuple[Kind, ...] = get_args(Kind)

_MOST = {"ColorQuant": 4, "LowLight": 4}  # severities; 5 for the others
_PIXELS: dict[str, Callable[[np.ndarray, int, np.random.Generator], np.ndarray]] = {
    "ColorQuant": lambda image, severity, rng: sensor.color_quant(image, severity),
    "MotionBlur": common.motion_blur,
    "Brightness": lambda image, severity, rng: common.brightness(image, severity),
    "LowLight": sensor.low_light,
    "Fog": common.fog,
    "Snow": common.snow,
}


def most_severe(kind: Kind) -> int:
    """Highest severity of a corruption."""
    return _MOST.get(kind, 5)


@dataclass(frozen=True)
class Corruption:
    """A corruption of all images.

    Attributes:
        kind: name of the corruption in RoboBEV.
        severity: 1 to 5; ColorQuant and LowLight have no fifth.
        seed: seed of everything that is drawn.
    """

    kind: Kind
    severity: Count
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_bounds(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over a sentence about a severity that the corruption does not have."""
        most = most_severe(self.kind)
        if self.severity > most:
            yield f"{self.kind} has severities 1 to {most}, not {self.severity}."

    def __str__(self) -> str:
        """Name, severity, and seed unless it is 0."""
        return f"{self.kind} {self.severity}" + (f" seed {self.seed}" if self.seed else "")

    def is_lost(self, name: str, camera: str, cameras: Sequence[str]) -> bool:
        """Return whether the image of a camera is black.

        CameraCrash draws ``severity`` cameras with replacement, once for all images; FrameLost
        draws each image with probability severity / 6.

        Args:
            name: name of the image.
            camera: its camera.
            cameras: all cameras of the rig.
        """
        if self.kind == "CameraCrash":
            crashed = self._generator("").integers(len(cameras), size=self.severity)
            return camera in {cameras[place] for place in crashed.tolist()}
        if self.kind == "FrameLost":
            return self._generator(name).random() < self.severity / 6
        return False

    def apply(self, image: UInt8[np.ndarray, "h w 3"], name: str) -> UInt8[np.ndarray, "h w 3"]:
        """Corrupt the pixels of an image that is not lost.

        Args:
            image: image at its full size; BGR, as in RoboBEV, which matters for Snow alone.
            name: name of the image.
        """
        if self.kind not in _PIXELS:
            return image
        return _PIXELS[self.kind](image, self.severity, self._generator(name))

    def decoder(
        self, camera: str, cameras: Sequence[str], root: Path, decoded: Decode | None = None
    ) -> Decode:
        """Function in place of :func:`bev.data.images.loading.decode` that corrupts images.

        Args:
            camera: camera of the images.
            cameras: all cameras of the rig.
            root: folder of the data set; images are named by their paths below it.
            decoded: function that decodes a file: ``decode`` (default) or that of a cache.
        """

        def corrupted(path: Path, reduction: int, size: tuple[int, int]) -> np.ndarray:
            below = path.relative_to(root) if path.is_relative_to(root) else path
            name = below.as_posix()
            height, width = size[0] // reduction, size[1] // reduction
            if self.is_lost(name, camera, cameras):
                return np.zeros((height, width, 3), np.uint8)
            if self.kind not in _PIXELS:
                return (decoded or decode)(path, reduction, size)
            image = (decoded or decode)(path, 1, size)
            if image.shape[:2] != tuple(size):
                return image  # load_image compares the sizes
            image = self.apply(image, name)
            if reduction == 1:
                return image
            return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)

        return corrupted

    def _generator(self, name: str) -> np.random.Generator:
        key = f"{self.seed} {self.kind} {self.severity} {name}".encode()
        return np.random.default_rng(list(hashlib.sha256(key).digest()))
