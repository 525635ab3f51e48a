"""Settings of a synthetic world: its size, seed and names.

A world is fully determined by a ``WorldConfig`` and the version of the generator. Both are written
into the data root, so that a finished world is recognised and never mixed with another one.
"""

from dataclasses import asdict, dataclass
from typing import Literal

from bev.errors import ConfigError
from bev.lab.synthetic.rig import CAMERAS, FISHEYES

VERSION = "v1.0-synthetic"
TRAIN_SPLIT = "synthetic_train"
VAL_SPLIT = "synthetic_val"

GENERATOR_VERSION = 3
"""Version of the generator: increase by one if the files of the same ``WorldConfig`` change."""

KEY_FRAME_PERIOD = 0.5
"""Seconds between key frames (2 Hz, as in nuScenes)."""


@dataclass(frozen=True)
class WorldConfig:
    """Size and seed of a synthetic world.

    Attributes:
        train_scenes: number of training scenes.
        val_scenes: number of held-out scenes.
        frames_per_scene: number of key frames of a scene, at 2 Hz; at least 2.
        seed: any non-negative integer; the seed of each scene is derived from (seed, split, index),
            so no two scenes share a seed.
        image_size: (width, height) in pixels; intrinsics scale with it from the real 1600x900.
        jpeg_quality: quality of the images, 1 to 100.
        lens: "pinhole" for nuScenes' six cameras, "fisheye" for four wide-angle cameras around the
            ego vehicle; the scenes are the same.

    Raises:
        ConfigError: for a value out of range.
    """

    train_scenes: int = 100
    val_scenes: int = 14
    frames_per_scene: int = 10
    seed: int = 0
    image_size: tuple[int, int] = (800, 450)
    jpeg_quality: int = 88
    lens: Literal["pinhole", "fisheye"] = "pinhole"

    def __post_init__(self) -> None:
        for name, least in (
            ("train_scenes", 1),
            ("val_scenes", 1),
            ("frames_per_scene", 2),
            ("seed", 0),
            ("jpeg_quality", 1),
        ):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; give at least {least}.")
        width, height = self.image_size
        if width * 9 != height * 16 or width < 160:
            raise ConfigError(
                f"image_size is {self.image_size}; give width and height in the ratio 16:9, "
                "at least 160x90."
            )

    def fingerprint(self) -> dict:
        """Generator version and settings that determine the files, as JSON-ready plain data."""
        settings = asdict(self)
        settings["image_size"] = list(self.image_size)
        if self.lens == "pinhole":  # worlds older than the field ``lens`` keep their fingerprint
            del settings["lens"]
        return {"generator_version": GENERATOR_VERSION, "settings": settings}

    @property
    def cameras(self) -> tuple[str, ...]:
        """Channels of the cameras."""
        return CAMERAS if self.lens == "pinhole" else tuple(FISHEYES)

    def scene_keys(self) -> list["SceneKey"]:
        """All scenes of the world, training scenes first."""
        train = [SceneKey(TRAIN_SPLIT, i, self.seed) for i in range(self.train_scenes)]
        return train + [SceneKey(VAL_SPLIT, i, self.seed) for i in range(self.val_scenes)]


@dataclass(frozen=True)
class SceneKey:
    """Key of a scene: its split, its index in the split, and the world's seed."""

    split: str
    index: int
    world_seed: int

    @property
    def name(self) -> str:
        """Name of the scene in the nuScenes tables."""
        return f"{self.split.replace('_', '-')}-{self.index:04d}"

    @property
    def entropy(self) -> list[int]:
        """Seed for ``numpy.random.default_rng``; differs between any two scenes."""
        return [self.world_seed, 0 if self.split == TRAIN_SPLIT else 1, self.index]


PRESETS: dict[str, WorldConfig] = {
    "tiny": WorldConfig(train_scenes=4, val_scenes=2, frames_per_scene=8),
    "default": WorldConfig(train_scenes=100, val_scenes=14, frames_per_scene=10),
}
