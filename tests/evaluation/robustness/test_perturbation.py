"""Perturbations of cameras at test time: their size, repeatability and independence."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from opened import opened

from bev.data.adjacent import AdjacentConfig
from bev.data.frame import Frame, StoredImage
from bev.data.images.corruptions.corruption import Corruption
from bev.data.settings import DataConfig
from bev.errors import ConfigError
from bev.evaluation.robustness.calibration import MISALIGNMENT, misalignment
from bev.evaluation.robustness.perturbation import Perturbation

SPLIT = "synthetic_train"


@pytest.fixture(scope="module")
def data(synthetic_world) -> DataConfig:
    return DataConfig(root=synthetic_world, version="v1.0-synthetic", drop_cameras=5)


def frames_of(data: DataConfig, perturbation: Perturbation) -> Sequence[Frame]:
    frames = opened(perturbation.rigged(data)).frames(SPLIT)
    return perturbation.perturbed(frames, data, SPLIT)


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
            Perturbation(("A", "B"), (0.5, 0.0), noise_seed=2),
            "without A B, noise 0.5 deg 0 m seed 2",
        ),
        (
            Perturbation(intrinsic_noise=1.5, misalignment=2, late=0.2),
            "intrinsic noise 1.5 percent, misalignment 2, late 0.2 key_frames seed 0",
        ),
        (Perturbation(corruption="Fog", severity=5), "Fog 5 seed 0"),
    ],
)
def test_the_text_of_a_perturbation_names_its_settings(perturbation, text):
    assert str(perturbation) == text


def test_the_principal_point_and_the_focal_length_have_the_requested_noise(data):
    exact = opened(replace(data, drop_cameras=0)).frames(SPLIT)
    found = frames_of(data, Perturbation(intrinsic_noise=2.0))
    errors = torch.stack([
        torch.linalg.inv(a.intrinsics) @ b.intrinsics
        for true, wrong in zip(exact, found, strict=True)
        for a, b in zip(true.cameras, wrong.cameras, strict=True)
    ])  # fmt: skip
    numbers = torch.stack([errors[:, 0, 0] - 1, errors[:, 0, 2], errors[:, 1, 2]])
    assert numbers.square().mean().sqrt().item() == pytest.approx(0.02, rel=0.25)
    torch.testing.assert_close(errors[:, 0, 0], errors[:, 1, 1])  # pixels stay square
    assert found[0].cameras[0].ego_from_camera.equal(exact[0].cameras[0].ego_from_camera)


def test_the_noise_of_a_distorted_camera_is_that_of_its_file(data):
    """Otherwise the removal of the distortion would take the error out again."""
    frame = opened(replace(data, drop_cameras=0)).frames(SPLIT)[0]
    camera = frame.cameras[0]
    stored = StoredImage(camera.size, camera.intrinsics, camera.lens)
    frame = replace(frame, cameras=(replace(camera, stored=stored),))
    (found,) = Perturbation(intrinsic_noise=2.0).perturbed([frame], data, SPLIT)[0].cameras
    assert torch.equal(found.intrinsics, camera.intrinsics)
    assert not torch.allclose(found.stored.intrinsics, camera.intrinsics)


def test_misalignment_turns_the_whole_rig_about_the_lidar(data):
    """By 2 degrees about z, y and x with probability 0.4, in the negative sense."""
    assert MISALIGNMENT[2] == (0.4, 2)
    errors = [misalignment(np.random.default_rng(seed), 2) for seed in range(500)]
    turned = [error for error in errors if not np.array_equal(error, np.eye(4))]
    assert 160 < len(turned) < 240
    angle = np.radians(2)
    sine, cosine = np.sin(angle), np.cos(angle)
    about_x = np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])
    about_y = np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])
    about_z = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
    for error in turned[:3]:
        np.testing.assert_allclose(error[:3, :3], about_x @ about_y @ about_z, atol=1e-12)
    exact = opened(replace(data, drop_cameras=0)).frames(SPLIT)
    found = frames_of(data, Perturbation(misalignment=3))
    moved = 0
    for true, wrong in zip(exact, found, strict=True):
        errors = [
            b.ego_from_camera @ torch.linalg.inv(a.ego_from_camera)
            for a, b in zip(true.cameras, wrong.cameras, strict=True)
        ]
        for error in errors:  # one error of the whole rig
            torch.testing.assert_close(error, errors[0])
        lidar = true.ego_from_lidar[:3, 3]
        torch.testing.assert_close(errors[0][:3, :3] @ lidar + errors[0][:3, 3], lidar)
        moved += not torch.allclose(errors[0], torch.eye(4, dtype=torch.float64))
    assert 0 < moved < len(exact)


def test_a_late_image_is_that_of_the_key_frame_before(data):
    exact = opened(replace(data, drop_cameras=0)).frames(SPLIT)
    every = frames_of(data, Perturbation(late=1.0))
    some = frames_of(data, Perturbation(late=0.5))
    counts = 0
    for row, (frame, late, half) in enumerate(zip(exact, every, some, strict=True)):
        first = row == 0 or exact[row - 1].scene != frame.scene
        before = frame if first else exact[row - 1]
        for own, old, now, either in zip(
            frame.cameras, before.cameras, late.cameras, half.cameras, strict=True
        ):
            assert now.path == old.path and either.path in (own.path, old.path)
            assert torch.equal(now.ego_from_camera, own.ego_from_camera)
            counts += not first and either.path == old.path
    assert 9 < counts < 27  # half of 36
    # A part of the split, and a rig with one camera fewer.
    part = Perturbation(late=1.0).perturbed(exact[1:3], data, SPLIT)
    assert [frame.cameras[0].path for frame in part] == [f.cameras[0].path for f in every[1:3]]
    fewer = frames_of(data, Perturbation(late=1.0, without=data.camera_names[:1]))
    assert fewer[1].cameras[0].path == every[1].cameras[1].path


def test_a_severity_that_the_corruption_does_not_have_is_refused():
    with pytest.raises(ConfigError, match="^LowLight has severities 1 to 4, not 5.$"):
        Perturbation(corruption="LowLight", severity=5)
    assert Perturbation(corruption="Fog", severity=5, noise_seed=3).image_corruption == Corruption(
        "Fog", 5, 3
    )
    assert Perturbation().image_corruption is None
