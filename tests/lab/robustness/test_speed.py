"""The benchmark of the corruptions runs on an image of one's own."""

import csv

import cv2
import numpy as np
from commands import call

from bev.data.images.corruptions.corruption import KINDS


def test_every_corruption_has_a_row(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (36, 64, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    out, _ = call("benchmark.py", "corruptions", "--image", str(tmp_path / "a.png"), "--rounds",
                  "1", "--out", str(tmp_path))  # fmt: skip
    assert "64x36, one thread" in out
    with (tmp_path / "corruptions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == list(KINDS)
    assert all(float(row["milliseconds"]) > 0 for row in rows[2:])
