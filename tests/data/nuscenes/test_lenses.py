"""Lens models in the tables: an extension of nuScenes, and tables without it."""

import json
import math

import pytest
import torch

from bev.data.nuscenes.index_cache import open_index
from bev.data.nuscenes.sensor_data import camera_frames, lens_of
from bev.geometry import KannalaBrandt, Pinhole
from bev.lab.benchmark.synthetic_tables import write_tables

FISHEYE = {"camera_model": "fisheye", "camera_distortion": [0.02, -0.003, 0.0, 0.0]}


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """The first camera is a fisheye, the second a fisheye with a field of view; the others are
    pinholes, one of them with distortion coefficients but no camera model, as in nuImages."""
    root = write_tables(tmp_path_factory.mktemp("lens") / "root", scenes=1, frames=2, boxes=1)
    path = next(root.glob("*/calibrated_sensor.json"))
    rows = json.loads(path.read_text())
    changes = [
        FISHEYE, {**FISHEYE, "camera_max_angle": 1.6}, {"camera_model": "pinhole"},
        {"camera_model": None, "camera_max_angle": None, "camera_distortion": []},
        {"camera_distortion": [0.1, 0.2, 0.3, 0.4, 0.5]},
    ]  # fmt: skip
    cameras = [row for row in rows if row["camera_intrinsic"]]
    for row, change in zip(cameras, changes, strict=False):
        row.update(change)
    path.write_text(json.dumps(rows))
    return open_index(root, path.parent.name)


def test_each_sample_data_record_has_its_lens(index):
    lenses = [lens_of(index, row) for row in range(len(index.sample_data.height))]
    wide = [lens for lens in lenses if isinstance(lens, KannalaBrandt)]
    assert len(wide) == 2 * 2
    assert sum(isinstance(lens, Pinhole) for lens in lenses) == len(lenses) - 4
    for lens in wide:
        assert lens.coefficients.tolist() == FISHEYE["camera_distortion"]
        assert lens.coefficients.dtype == torch.float64
    limits = sorted(lens.max_angle.item() for lens in wide)
    assert limits[:2] == [1.6, 1.6] and limits[2] == pytest.approx(math.pi)


def test_frames_carry_the_lens(index):
    names = [name for name in index.channels if name.startswith("CAM")]
    rows = [int(index.sample.data[0, index.channels[name]]) for name in names]
    frames = camera_frames(index, names, rows, torch.eye(4, dtype=torch.float64).numpy())
    kinds = [type(frame.lens) for frame in frames]
    assert kinds.count(KannalaBrandt) == 2 and kinds.count(Pinhole) == len(names) - 2
