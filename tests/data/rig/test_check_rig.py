"""What cannot be right about a rig is named, with the camera."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from bev.data.checks.files import IMAGE_TURNED
from bev.data.checks.plausible import CAMERA_DIRECTION, CAMERA_HEIGHT, FOCAL_LENGTH
from bev.data.frame import CameraFrame, Frame
from bev.data.rig import Distortion, RigCamera
from bev.data.rig import checks as rules

MATRIX = torch.tensor([[1000.0, 0, 800], [0, 1000, 450], [0, 0, 1]], dtype=torch.float64)


def camera(name: str, yaw: float, height: float = 1.5) -> CameraFrame:
    """A camera that looks ``yaw`` degrees to the left of ahead."""
    cos, sin = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
    rows = [[sin, 0, cos, cos], [-cos, 0, sin, sin], [0, -1, 0, height], [0, 0, 0, 1]]
    pose = torch.tensor(rows, dtype=torch.float64)
    return CameraFrame(name, Path(f"{name}.jpg"), (900, 1600), MATRIX, pose)


def found(*cameras: CameraFrame) -> dict:
    return rules.check_rig(Frame("now", cameras)).by_kind


FRONT, BACK = camera("CAM_FRONT", 0), camera("CAM_BACK", 180)


def test_a_usual_rig_has_no_finding():
    assert found(FRONT, BACK, camera("CAM_FRONT_LEFT", 55), camera("CAM_BACK_RIGHT", -110)) == {}


def test_each_fault_is_named_with_its_camera():
    larger = replace(FRONT, intrinsics=torch.diag(torch.tensor([1.2, 1.2, 1.0]).double()) @ MATRIX)
    lowered = replace(BACK, ego_from_camera=camera("", 180, -0.5).ego_from_camera)
    upside_down = FRONT.ego_from_camera @ torch.diag(torch.tensor([-1.0, -1, 1, 1]).double())
    cases = {
        (rules.SCALED, "CAM_FRONT: principal point in the middle of 1920x1080 px"): (larger,),
        (rules.SAME_DIRECTION, "a and b: 0 degrees and 0 m apart"): (
            camera("a", 5),
            camera("b", 5),
        ),
        (rules.NAMED_DIRECTION, "left looks 90 degrees to the right"): (camera("left", -90),),
        (rules.NAMED_DIRECTION, "CAM_BACK looks ahead"): (camera("CAM_BACK", 0),),
        (CAMERA_HEIGHT, "CAM_BACK: -0.5 m"): (lowered,),
        (CAMERA_DIRECTION, "CAM_FRONT: image turned by 180 degrees"): (
            replace(FRONT, ego_from_camera=upside_down),
        ),
        (FOCAL_LENGTH, "CAM_FRONT: 1000 and 1000 px for 40x30 px"): (
            replace(FRONT, size=(30, 40)),
        ),
    }
    for (kind, message), cameras in cases.items():
        texts = found(*cameras)[kind]
        assert message in texts[0]


@pytest.mark.parametrize("decimals", [3, 4, 16])
def test_rounded_axes_of_opposite_and_of_equal_directions(decimals):
    """A product of two rounded axes may be less than -1, or less than 1 by a degree's worth."""
    for yaw in range(0, 360, 2):
        one, back, same = camera("a", yaw), camera("b", yaw + 180), camera("c", yaw)
        cameras = [
            replace(each, ego_from_camera=each.ego_from_camera.round(decimals=decimals))
            for each in (one, back, same)
        ]
        assert found(*cameras[:2]) == {}
        assert len(found(*cameras)[rules.SAME_DIRECTION]) == 1


def distorted(*numbers: float) -> CameraFrame:
    lens = Distortion("plumb_bob", numbers)
    pose = FRONT.ego_from_camera
    return RigCamera("front", MATRIX, pose, (900, 1600), lens).frame(Path("front.jpg"))


def test_distortion_that_ends_within_the_image_is_named():
    """r - 2 r^3 turns at r = 0.41, which is 0.27 on the plane; the corners are at 0.92."""
    assert found(distorted(-0.2, 0.03, 0.0, 0.0)) == {}
    kinds = found(distorted(-2.0, 0.0, 0.0, 0.0))
    assert rules.DISTORTED in kinds and rules.BLACK in kinds
    share = int(kinds[rules.DISTORTED][0].split(": ")[1].split()[0])
    inside = math.pi * (0.272 * 1000) ** 2 / (1600 * 900)
    assert share == pytest.approx(100 * (1 - inside), abs=1.5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("CAM_BACK_LEFT", 115), ("rear", 180), ("cam0", None), ("front_left_right", None)],
)
def test_names_state_directions(name, expected):
    assert rules.named_azimuth(name) == expected


def test_images_that_are_turned_by_their_metadata_are_named(tmp_path):
    """They are used as stored, while many programs turn them: the first of each camera is read."""
    frames = []
    for name, turn in (("front", 6), ("back", 1)):
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.new("RGB", (16, 12)).save(tmp_path / f"{name}.jpg", exif=exif)
        matrix = torch.tensor([[10.0, 0, 8], [0, 10, 6], [0, 0, 1]], dtype=torch.float64)
        one = replace(camera(name, 0), size=(12, 16), intrinsics=matrix)
        frames.append(Frame(name, (replace(one, path=tmp_path / f"{name}.jpg"),)))
    for findings in (rules.check_upright(frames), rules.check_images(frames)):
        assert list(findings.by_kind) == [IMAGE_TURNED]
        (sentence,) = findings.sentences(is_error=False)
        assert "front.jpg of camera front: orientation 6" in sentence
