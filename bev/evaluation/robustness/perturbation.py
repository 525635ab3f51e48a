"""Perturbations of the rig at test time, to measure the robustness of a model.

After Philion and Fidler, Lift, Splat, Shoot (2020), section 5.3: failing cameras and wrong
calibrations.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bev.bounds import Natural, NonNegative, check_bounds
from bev.data.frame import CameraFrame, Frame
from bev.data.settings import DataConfig
from bev.errors import ConfigError


@dataclass(frozen=True)
class Perturbation:
    """Perturbation of the rig.

    Attributes:
        without: names of cameras that are left out, e.g. CAM_FRONT.
        extrinsic_noise: (degrees, metres), standard deviations of an error of the pose of every
            camera in every sample: a rotation about, and a shift along, each of its axes.
        noise_seed: seed of this error, which is a function of the seed, the sample and the camera;
            the adjacent frames of a sample have the same error.
    """

    without: tuple[str, ...] = ()
    extrinsic_noise: tuple[NonNegative, NonNegative] = (0.0, 0.0)
    noise_seed: Natural = 0

    def __post_init__(self) -> None:
        check_bounds(self)

    def __str__(self) -> str:
        """Describe the perturbation in words; empty if there is none."""
        degrees, metres = self.extrinsic_noise
        parts = [f"without {' '.join(self.without)}"] if self.without else []
        if degrees or metres:
            parts.append(f"noise {degrees:g} deg {metres:g} m seed {self.noise_seed}")
        return ", ".join(parts)

    def miscalibrated(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """Key frames, which may be those of :meth:`rigged` data, with the errors of the poses."""
        return _Miscalibrated(frames, self) if any(self.extrinsic_noise) else frames

    def rigged(self, data: DataConfig) -> DataConfig:
        """Data settings with the remaining cameras.

        Raises:
            ConfigError: if ``without`` names a camera that the data do not use, or all cameras.
        """
        cameras = data.camera_names
        if unknown := [name for name in self.without if name not in cameras]:
            raise ConfigError(
                f"--without names {', '.join(unknown)}; the cameras are {', '.join(cameras)}."
            )
        remaining = tuple(name for name in cameras if name not in self.without)
        if not remaining:
            raise ConfigError("--without names all cameras; leave at least one.")
        return replace(data, cameras=remaining, drop_cameras=0) if self.without else data


class _Miscalibrated(Sequence[Frame]):
    """Key frames with errors in the poses of their cameras."""

    def __init__(self, frames: Sequence[Frame], perturbation: Perturbation) -> None:
        self.frames, self.perturbation = frames, perturbation

    def __len__(self) -> int:
        return len(self.frames)

    @overload
    def __getitem__(self, index: int) -> Frame: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Frame]: ...

    def __getitem__(self, index: int | slice) -> Frame | Sequence[Frame]:
        if isinstance(index, slice):
            return _Miscalibrated(self.frames[index], self.perturbation)
        frame = self.frames[index]

        def miscalibrated(cameras: Sequence[CameraFrame]) -> tuple[CameraFrame, ...]:
            return tuple(
                replace(c, ego_from_camera=c.ego_from_camera @ self._error(frame.token, c.name))
                for c in cameras
            )

        adjacent = tuple(
            replace(other, cameras=miscalibrated(other.cameras)) for other in frame.adjacent
        )
        return replace(frame, cameras=miscalibrated(frame.cameras), adjacent=adjacent)

    def _error(self, token: str, camera: str) -> Float[Tensor, "4 4"]:
        """(4, 4) float64 transform from the assumed camera frame to the actual one."""
        degrees, metres = self.perturbation.extrinsic_noise
        key = zlib.crc32(f"{token} {camera}".encode())
        rng = np.random.default_rng([self.perturbation.noise_seed, key])
        error = np.eye(4)
        from scipy.spatial.transform import Rotation

        rotation = Rotation.from_rotvec(degrees * rng.standard_normal(3), degrees=True)
        error[:3, :3] = rotation.as_matrix()
        error[:3, 3] = metres * rng.standard_normal(3)
        return torch.from_numpy(error)
