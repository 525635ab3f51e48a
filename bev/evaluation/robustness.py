"""A rig made worse at test time, to measure how a model bears it.

After Philion and Fidler, Lift, Splat, Shoot (2020), section 5.3: cameras that fail, and
calibrations that are wrong.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bev.data.frame import CameraFrame, Frame
from bev.data.settings import DataConfig
from bev.errors import ConfigError


@dataclass(frozen=True)
class Perturbation:
    """What is done to the rig.

    Attributes:
        without: cameras that are left out, e.g. CAM_FRONT.
        extrinsic_noise: (degrees, metres), standard deviations of an error of every camera's pose
            in every sample: a turn about and a shift along each of its axes.
        noise_seed: of that error, which is a function of the seed, the sample and the camera; the
            sample's adjacent frames have the same.
    """

    without: tuple[str, ...] = ()
    extrinsic_noise: tuple[float, float] = (0.0, 0.0)
    noise_seed: int = 0

    def __str__(self) -> str:
        """In words; empty where nothing is done."""
        degrees, metres = self.extrinsic_noise
        parts = [f"without {' '.join(self.without)}"] if self.without else []
        if degrees or metres:
            parts.append(f"noise {degrees:g} deg {metres:g} m seed {self.noise_seed}")
        return ", ".join(parts)

    def frames(self, data: DataConfig, split: str) -> Sequence[Frame]:
        """Key frames of a split as the disturbed rig records them.

        Raises:
            ConfigError: see :meth:`rigged`.
            DataError: see ``FrameSource.frames``.
        """
        data = self.rigged(data)
        frames = data.source.open(data).frames(split)
        return _Miscalibrated(frames, self) if any(self.extrinsic_noise) else frames

    def rigged(self, data: DataConfig) -> DataConfig:
        """The data with the cameras that are left.

        Raises:
            ConfigError: where ``without`` names a camera that the data do not use, or all of them.
        """
        cameras = data.camera_names
        if unknown := [name for name in self.without if name not in cameras]:
            raise ConfigError(
                f"--without names {', '.join(unknown)}; the cameras are {', '.join(cameras)}."
            )
        kept = tuple(name for name in cameras if name not in self.without)
        if not kept:
            raise ConfigError("--without names all cameras; leave at least one.")
        return replace(data, cameras=kept, drop_cameras=0) if self.without else data


class _Miscalibrated(Sequence[Frame]):
    """Key frames whose cameras stand and look a little differently than they say."""

    def __init__(self, frames: Sequence[Frame], perturbation: Perturbation) -> None:
        self.frames, self.perturbation = frames, perturbation

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Frame:
        frame = self.frames[index]

        def wrong(cameras: Sequence[CameraFrame]) -> tuple[CameraFrame, ...]:
            return tuple(
                replace(c, ego_from_camera=c.ego_from_camera @ self._error(frame.token, c.name))
                for c in cameras
            )

        adjacent = tuple(replace(other, cameras=wrong(other.cameras)) for other in frame.adjacent)
        return replace(frame, cameras=wrong(frame.cameras), adjacent=adjacent)

    def _error(self, token: str, camera: str) -> Float[Tensor, "4 4"]:
        """(4, 4) float64, the true camera from the one that is believed in."""
        degrees, metres = self.perturbation.extrinsic_noise
        place = zlib.crc32(f"{token} {camera}".encode())
        rng = np.random.default_rng([self.perturbation.noise_seed, place])
        error = np.eye(4)
        from scipy.spatial.transform import Rotation

        turn = Rotation.from_rotvec(degrees * rng.standard_normal(3), degrees=True)
        error[:3, :3] = turn.as_matrix()
        error[:3, 3] = metres * rng.standard_normal(3)
        return torch.from_numpy(error)
