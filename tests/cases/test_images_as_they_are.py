"""Images as cameras write them: EXIF, bytes behind the end, other shapes than 16:9."""

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from commands import ROOT
from opened import opened
from own_data import VERSION
from own_runs import check, edit, told, train, training_sample
from PIL import Image

from bev.errors import DataError

ORIENTATION = 0x0112  # the EXIF tag


def spots(sample) -> torch.Tensor:
    """(cameras, 2) row and column of the red spot on each image."""
    found = []
    for red, green, blue in sample.views.images[0].float():
        found.append(((red > 150) & (green < 90) & (blue < 90)).nonzero().float().mean(dim=0))
    return torch.stack(found)


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="an EXIF orientation turns pixels against the calibration; check_data.py is silent",
)
@pytest.mark.parametrize(
    ("orientation", "flags"), [(3, ["--decode"]), (6, [])], ids=["upside_down", "on_its_side"]
)
def test_an_orientation_in_exif_turns_nothing_or_is_told(own, orientation, flags):
    """opencv#28644, Hierarchical-Localization#373, OpenSfM#135."""
    before = spots(training_sample(own))
    for path in (own / "samples").rglob("*.jpg"):
        image = Image.open(path).convert("RGB")
        exif = image.getexif()
        exif[ORIENTATION] = orientation
        image.save(path, quality=95, exif=exif)
    try:
        as_calibrated = (spots(training_sample(own)) - before).norm(dim=1).max() < 2
    except DataError:
        as_calibrated = False
    assert as_calibrated or check(own, *flags)[1]


@pytest.mark.xfail(
    strict=True,
    raises=DataError,
    reason="a whole JPEG with padding behind its end marker counts as cut off",
)
def test_bytes_behind_the_end_of_a_jpeg_are_no_damage(own):
    """Camera SDKs pad files to whole blocks; Pillow and OpenCV read them."""
    before = training_sample(own)
    for path in (own / "samples").rglob("*.jpg"):
        path.write_bytes(path.read_bytes() + bytes(4096))
    assert torch.equal(training_sample(own).views.images, before.views.images)
    assert not check(own)[1]


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="of a 4:3 camera the default crop cuts the horizon, and nothing says so",
)
def test_a_4_to_3_camera_keeps_its_horizon_or_is_told(own, tmp_path, begun, capfd):
    """BEVDet#198, #325 (own image sizes); surround cameras of 1280x960, 1280x1024, 1440x1080."""
    from bev.config import load_file
    from bev.data.dataset import KeyFrames

    for path in (own / "samples").rglob("*.jpg"):
        cv2.imwrite(str(path), np.full((960, 1280, 3), 110, np.uint8))
    edit(own, "sample_data", width=1280, height=960)
    lens = [[914.0, 0, 640.0], [0, 914.0, 480.0], [0, 0, 1]]  # 70 degrees
    edit(own, "calibrated_sensor", camera_intrinsic=lens)
    config = replace(
        load_file(ROOT / "configs" / "lss_r50.py").data,
        root=own, version=VERSION, cameras=("CAM_AHEAD",), workers=0,
    )  # fmt: skip
    sample = KeyFrames(opened(config).frames("mine_val"), config, training=False)[0]
    # A car's rear, 1.6 m high, straight ahead at three distances.
    ahead, height = torch.tensor([20.0, 40.0, 60.0]), torch.linspace(0.0, 1.6, 17)
    points = torch.cartesian_prod(ahead, torch.zeros(1), height)
    pixels, _ = sample.views.cameras[0].project(points[None])
    rows = pixels[0, :, 1].reshape(len(ahead), -1)
    shown = ((rows >= 0) & (rows < config.image_size[0])).float().mean(dim=1)
    if shown.min() > 0.9:
        return
    _, out, error = train(own, tmp_path, "--data.image-size", "64", "176")  # 256x704, a quarter
    # What processes that it starts say, too.
    lines = (*check(own)[1], *told(out, error, capfd.readouterr().err))
    assert any(re.search("crop|cut|horizon", line) for line in lines), shown
