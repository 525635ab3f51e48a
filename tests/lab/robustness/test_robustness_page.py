"""The page of a suite in headless Chromium: every chart is drawn, without a complaint."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from chromium import drawn

from bev.data.frame import CameraFrame
from bev.lab.robustness.conditions import CLEAN, DEFAULT, conditions
from bev.lab.robustness.report import write_report
from bev.lab.robustness.suite import Outcome
from bev.lab.robustness.table import Results

SECTORS = ("front", "front left", "back left", "back", "back right", "front right")


def page_of(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    planned = conditions(DEFAULT, ("CAM_FRONT", "CAM_BACK", "CAM_LEFT"), 0)
    outcomes = {}
    for one in planned:
        lost = 0.0 if one.name == CLEAN else rng.uniform(0.05, 0.3)
        azimuth = {sector: 0.5 - lost * rng.random() for sector in SECTORS}
        azimuth["back"] = None
        outcomes[one.name] = Outcome({"mAP": 0.5 - lost, "NDS": 0.55 - lost}, azimuth)
    suite = {"version": "v1.0-mini", "split": "mini_val", "every": 5, "image_size": "64x36",
             "seed": 0, "samples": 9}  # fmt: skip
    path = folder / "a.png"
    cv2.imwrite(str(path), rng.integers(0, 256, (36, 64, 3), dtype=np.uint8))
    eye = torch.eye(4, dtype=torch.float64)
    camera = CameraFrame("CAM_FRONT", path, (36, 64), eye[:3, :3], eye)
    return write_report(folder, Results(suite, planned, outcomes), "a.ckpt", camera, folder)


@pytest.mark.slow
def test_every_chart_of_the_page_is_drawn(tmp_path):
    with drawn(page_of(tmp_path), "corruptions", "errors", "cameras", "azimuth") as tab:
        assert tab.locator("#conditions tbody tr").count() == 1 + 24 + 3 + 3 + 12
        assert "one of every 5" in tab.inner_text("#notices")
        assert "mCE" not in tab.inner_text("#summary").replace("mCE formula", "")
        assert tab.locator("#pictures img").count() == 1
