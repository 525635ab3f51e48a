"""Perturbations of images, calibrations and times, to measure the robustness of a model."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal, overload

import numpy as np
import torch

from bev.bounds import (
    Bound,
    Count,
    Natural,
    NonNegative,
    Probability,
    check_bounds,
)
from bev.data.adjacent import AdjacentConfig
from bev.data.frame import CameraFrame, Frame
from bev.data.images.corruptions.corruption import Corruption, Kind, most_severe
from bev.data.settings import DataConfig
from bev.data.source import Frames
from bev.errors import ConfigError
from bev.evaluation.robustness.calibration import (
    misalignment,
    perturbed_intrinsics,
    pose_error,
)


@dataclass(frozen=True)
class Perturbation:
    """Perturbation of a rig: of its images, its calibration and its times.

    Attributes:
        without: names of cameras that are left out, e.g. CAM_FRONT.
        extrinsic_noise: (degrees, metres), standard deviations of an error of the pose of every
            camera in every sample: a rotation about, and a shift along, each of its axes.
        intrinsic_noise: percent, standard deviation of an error of the focal length, and of the
            principal point in percent of the focal length, of every camera in every sample.
        misalignment: severity, 0 to 3, of MultiCorrupt's spatial misalignment: with probability
            0.2, 0.4 or 0.6 the whole rig of a sample is turned by 1, 2 or 3 degrees about each axis
            of the lidar.
        late: probability that a camera's image is of an earlier moment than its calibration; with
            0.2, 0.4 and 0.6 MultiCorrupt's temporal misalignment. Adjacent frames are not late.
        late_unit: the earlier moment, one key frame or one sweep before.
        corruption: corruption of RoboBEV.
        severity: its severity.
        noise_seed: seed of all that is drawn, which is a function of the seed, the sample and the
            camera; the adjacent frames of a sample have the same errors of calibration.
    """

    without: tuple[str, ...] = ()
    extrinsic_noise: tuple[NonNegative, NonNegative] = (0.0, 0.0)
    intrinsic_noise: NonNegative = 0.0
    misalignment: Annotated[int, Bound(least=0, most=3)] = 0
    late: Probability = 0.0
    late_unit: Literal["key_frames", "sweeps"] = "key_frames"
    corruption: Kind | None = None
    severity: Count = 1
    noise_seed: Natural = 0

    def __post_init__(self) -> None:
        check_bounds(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over a sentence about a severity that the corruption does not have."""
        if self.corruption is not None and self.severity > most_severe(self.corruption):
            most = most_severe(self.corruption)
            yield f"{self.corruption} has severities 1 to {most}, not {self.severity}."

    def __str__(self) -> str:
        """Describe the perturbation in words; empty if there is none."""
        degrees, metres = self.extrinsic_noise
        parts = [f"without {' '.join(self.without)}"] if self.without else []
        drawn = []
        if degrees or metres:
            drawn.append(f"noise {degrees:g} deg {metres:g} m")
        if self.intrinsic_noise:
            drawn.append(f"intrinsic noise {self.intrinsic_noise:g} percent")
        if self.misalignment:
            drawn.append(f"misalignment {self.misalignment}")
        if self.late:
            drawn.append(f"late {self.late:g} {self.late_unit}")
        if self.corruption:
            drawn.append(f"{self.corruption} {self.severity}")
        seed = [f"{', '.join(drawn)} seed {self.noise_seed}"] if drawn else []
        return ", ".join(parts + seed)

    @property
    def image_corruption(self) -> Corruption | None:
        """Corruption of the images, for ``KeyFrames``."""
        if self.corruption is None:
            return None
        return Corruption(self.corruption, self.severity, self.noise_seed)

    def perturbed(self, frames: Sequence[Frame], data: DataConfig, split: str) -> Sequence[Frame]:
        """Key frames with wrong calibrations and late images.

        Args:
            frames: key frames of :meth:`rigged` data, of a split or a part of it.
            data: the data settings, before :meth:`rigged`.
            split: name of the split.

        Raises:
            ConfigError: for sweeps, if the source has none.
        """
        earlier: Frames | None = None
        if self.late:
            before = AdjacentConfig(previous=1, unit=self.late_unit)
            config = self.rigged(replace(data, adjacent=before))
            earlier = config.source.open(config).frames(split)
        wrong = any(self.extrinsic_noise) or self.intrinsic_noise or self.misalignment
        return _Perturbed(frames, self, earlier) if earlier is not None or wrong else frames

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


class _Perturbed(Sequence[Frame]):
    """Key frames with errors in the calibrations of their cameras, and late images."""

    def __init__(
        self, frames: Sequence[Frame], perturbation: Perturbation, earlier: Frames | None
    ) -> None:
        self.frames, self.perturbation, self.earlier = frames, perturbation, earlier
        self.row_of = {} if earlier is None else {t: n for n, t in enumerate(earlier.tokens)}

    def __len__(self) -> int:
        return len(self.frames)

    @overload
    def __getitem__(self, index: int) -> Frame: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Frame]: ...

    def __getitem__(self, index: int | slice) -> Frame | Sequence[Frame]:
        if isinstance(index, slice):
            return _Perturbed(self.frames[index], self.perturbation, self.earlier)
        frame = self.frames[index]
        turned = self._misalignment(frame)
        adjacent = tuple(
            replace(other, cameras=self._miscalibrated(frame.token, other.cameras, turned))
            for other in frame.adjacent
        )
        cameras = self._miscalibrated(frame.token, self._late(frame), turned)
        return replace(frame, cameras=cameras, adjacent=adjacent)

    def _late(self, frame: Frame) -> Sequence[CameraFrame]:
        if self.earlier is None:
            return frame.cameras
        before = self.earlier[self.row_of[frame.token]].adjacent[0]
        paths = {camera.name: camera for camera in before.cameras}
        late = self.perturbation.late
        return [
            replace(camera, path=paths[camera.name].path)
            if camera.name in paths
            and self._draws(frame.token, camera.name, "late").random() < late
            else camera
            for camera in frame.cameras
        ]

    def _misalignment(self, frame: Frame) -> torch.Tensor:
        """(4, 4) float64 transform of the ego frame by which the whole rig is misplaced."""
        severity = self.perturbation.misalignment
        error = torch.from_numpy(
            misalignment(self._draws(frame.token, "", "misalignment"), severity)
        )
        ego_from_lidar = frame.ego_from_lidar
        return ego_from_lidar @ error @ torch.linalg.inv(ego_from_lidar)

    def _miscalibrated(
        self, token: str, cameras: Sequence[CameraFrame], turned: torch.Tensor
    ) -> tuple[CameraFrame, ...]:
        own = self.perturbation
        found = []
        for camera in cameras:
            if any(own.extrinsic_noise) or own.misalignment:
                error = pose_error(self._draws(token, camera.name), *own.extrinsic_noise)
                pose = turned @ camera.ego_from_camera @ torch.from_numpy(error)
                camera = replace(camera, ego_from_camera=pose)
            if own.intrinsic_noise:
                rng = self._draws(token, camera.name, "intrinsics")
                # An image whose distortion is removed is sampled by the calibration of its file.
                of = camera.stored or camera
                exact = of.intrinsics.numpy()
                wrong = torch.from_numpy(perturbed_intrinsics(exact, rng, own.intrinsic_noise))
                if camera.stored is None:
                    camera = replace(camera, intrinsics=wrong)
                else:
                    camera = replace(camera, stored=replace(camera.stored, intrinsics=wrong))
            found.append(camera)
        return tuple(found)

    def _draws(self, token: str, camera: str, what: str = "") -> np.random.Generator:
        key = zlib.crc32(" ".join(filter(None, (token, camera, what))).encode())
        return np.random.default_rng([self.perturbation.noise_seed, key])
