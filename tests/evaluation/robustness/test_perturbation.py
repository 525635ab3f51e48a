"""Perturbations of cameras at test time: their size, repeatability and independence."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from opened import opened

from bev.data.adjacent import AdjacentConfig
from bev.data.frame import Frame
from bev.data.settings import DataConfig
from bev.errors import ConfigError
from bev.evaluation.robustness import Perturbation

SPLIT = "synthetic_train"


@pytest.fixture(scope="module")
def data(synthetic_world) -> DataConfig:
    return DataConfig(root=synthetic_world, version="v1.0-synthetic", drop_cameras=5)


def frames_of(data: DataConfig, perturbation: Perturbation) -> Sequence[Frame]:
    return perturbation.miscalibrated(opened(perturbation.rigged(data)).frames(SPLIT))


def errors(data: DataConfig, perturbation: Perturbation) -> torch.Tensor:
    """Transforms (frames, cameras, 4, 4) from the perturbed to the exact camera frame."""
    kept = [name for name in data.camera_names if name not in perturbation.without]
    exact = opened(replace(data, cameras=tuple(kept), drop_cameras=0)).frames(SPLIT)
    pairs = zip(exact, frames_of(data, perturbation), strict=True)
    return torch.stack([
        torch.stack([
            torch.linalg.inv(a.ego_from_camera) @ b.ego_from_camera
            for a, b in zip(true.cameras, found.cameras, strict=True)
        ])
        for true, found in pairs
    ])  # fmt: skip


def test_cameras_are_left_out(data):
    frames = frames_of(data, Perturbation(without=("CAM_FRONT", "CAM_BACK")))
    left = [name for name in data.camera_names if name not in ("CAM_FRONT", "CAM_BACK")]
    assert all([camera.name for camera in frame.cameras] == left for frame in frames)
    with pytest.raises(ConfigError, match="--without names CAM_SIDE; the cameras are CAM_FRONT_L"):
        Perturbation(without=("CAM_FRONT", "CAM_SIDE")).rigged(data)
    with pytest.raises(ConfigError, match="leave at least one"):
        Perturbation(without=data.camera_names).rigged(data)


def test_pose_noise_has_the_requested_size(data):
    found = errors(data, Perturbation(extrinsic_noise=(2.0, 0.1)))
    rotation, shift = found[..., :3, :3].flatten(0, 1), found[..., :3, 3].flatten(0, 1)
    eye = torch.eye(3, dtype=rotation.dtype).expand_as(rotation)
    torch.testing.assert_close(rotation @ rotation.transpose(-1, -2), eye)
    angle = torch.rad2deg(torch.acos((rotation.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2))
    # 8 samples of 6 cameras: 144 numbers each, whose mean square is known to 12 %.
    assert angle.square().mean().sqrt().item() == pytest.approx(2.0 * 3**0.5, rel=0.25)
    assert shift.square().mean().sqrt().item() == pytest.approx(0.1, rel=0.25)
    assert len(shift[:, 0].unique()) == len(shift)  # every camera of every sample has its own
    assert torch.equal(errors(data, Perturbation()), errors(data, Perturbation(noise_seed=4)))


def test_noise_is_a_function_of_seed_sample_and_camera(data):
    noise = Perturbation(extrinsic_noise=(1.0, 0.05))
    first = errors(data, noise)
    assert torch.equal(first, errors(data, noise))
    assert not torch.allclose(first, errors(data, replace(noise, noise_seed=1)))
    # The errors are the same with one camera fewer, and proportional to the requested noise.
    fewer = errors(data, replace(noise, without=data.camera_names[:1]))
    torch.testing.assert_close(fewer, first[:, 1:])
    double = errors(data, replace(noise, extrinsic_noise=(0.0, 0.1)))
    torch.testing.assert_close(double[..., :3, 3], 2 * first[..., :3, 3])


def test_adjacent_frames_have_the_same_pose_noise(data):
    noise = Perturbation(extrinsic_noise=(1.0, 0.05))
    config = replace(data, adjacent=AdjacentConfig(previous=1))
    true, found = opened(config).frames(SPLIT)[1], frames_of(config, noise)[1]
    for camera in range(6):
        now, before = (
            torch.linalg.inv(a.cameras[camera].ego_from_camera) @ b.cameras[camera].ego_from_camera
            for a, b in ((true, found), (true.adjacent[0], found.adjacent[0]))
        )
        torch.testing.assert_close(now, before)
        assert (now[:3, 3] != 0).all()


@pytest.mark.parametrize(
    ("perturbation", "text"),
    [
        (Perturbation(noise_seed=3), ""),
        (Perturbation(without=("CAM_BACK",)), "without CAM_BACK"),
        (
            Perturbation(("A", "B"), (0.5, 0.0), 2),
            "without A B, noise 0.5 deg 0 m seed 2",
        ),
    ],
)
def test_the_text_of_a_perturbation_names_its_settings(perturbation, text):
    assert str(perturbation) == text
