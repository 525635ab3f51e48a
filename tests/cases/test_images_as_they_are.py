"""Camera images with EXIF orientation, padding after the end marker, or a shape other than 16:9."""

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from commands import ROOT
from opened import opened
from own_data import VERSION
from own_runs import check, edit, reported, train, training_sample
from PIL import Image

from bev.errors import DataError

ORIENTATION = 0x0112  # the EXIF tag


def spots(sample) -> torch.Tensor:
    """Row and column of the red spot on each image, shape (cameras, 2)."""
    found = []
    for red, green, blue in sample.views.images[0].float():
        found.append(((red > 150) & (green < 90) & (blue < 90)).nonzero().float().mean(dim=0))
    return torch.stack(found)


@pytest.mark.parametrize(
    ("orientation", "flags"), [(3, ["--decode"]), (6, [])], ids=["upside_down", "on_its_side"]
)
def test_exif_orientation_is_ignored_or_reported(own_root, orientation, flags):
    """opencv#28644, Hierarchical-Localization#373, OpenSfM#135."""
    before = spots(training_sample(own_root))
    for path in (own_root / "samples").rglob("*.jpg"):
        image = Image.open(path).convert("RGB")
        exif = image.getexif()
        exif[ORIENTATION] = orientation
        image.save(path, quality=95, exif=exif)
    try:
        as_calibrated = (spots(training_sample(own_root)) - before).norm(dim=1).max() < 2
    except DataError:
        as_calibrated = False
    assert as_calibrated or check(own_root, *flags)[1]


def test_padding_after_the_end_of_a_jpeg_is_accepted(own_root):
    """Camera SDKs pad files to whole blocks; Pillow and OpenCV read such files."""
    before = training_sample(own_root)
    for path in (own_root / "samples").rglob("*.jpg"):
        path.write_bytes(path.read_bytes() + bytes(4096))
    assert torch.equal(training_sample(own_root).views.images, before.views.images)
    assert not check(own_root)[1]


def test_a_4_to_3_image_keeps_its_horizon_or_the_crop_is_reported(
    own_root, tmp_path, started_trainers, capfd
):
    """BEVDet#198, #325 (own image sizes); surround cameras of 1280x960, 1280x1024, 1440x1080."""
    from bev.config import load_file
    from bev.data.dataset import KeyFrames

    for path in (own_root / "samples").rglob("*.jpg"):
        cv2.imwrite(str(path), np.full((960, 1280, 3), 110, np.uint8))
    edit(own_root, "sample_data", width=1280, height=960)
    lens = [[914.0, 0, 640.0], [0, 914.0, 480.0], [0, 0, 1]]  # a field of view of 70 degrees
    edit(own_root, "calibrated_sensor", camera_intrinsic=lens)
    config = replace(
        load_file(ROOT / "configs" / "lss_r50.py").data,
        root=own_root, version=VERSION, cameras=("CAM_AHEAD",), workers=0,
    )  # fmt: skip
    sample = KeyFrames(opened(config).frames("mine_val"), config, training=False)[0]
    # The rear of a car, 1.6 m high, straight ahead at three distances.
    ahead, height = torch.tensor([20.0, 40.0, 60.0]), torch.linspace(0.0, 1.6, 17)
    points = torch.cartesian_prod(ahead, torch.zeros(1), height)
    pixels, _ = sample.views.cameras[0].project(points[None])
    rows = pixels[0, :, 1].reshape(len(ahead), -1)
    shown = ((rows >= 0) & (rows < config.image_size[0])).float().mean(dim=1)
    if shown.min() > 0.9:
        return
    _, out, error = train(
        own_root, tmp_path, "--data.image-size", "64", "176"
    )  # 256x704 scaled by 1/4
    # Messages of child processes are included.
    lines = (*check(own_root)[1], *reported(out, error, capfd.readouterr().err))
    assert any(re.search("crop|cut|horizon", line) for line in lines), shown
