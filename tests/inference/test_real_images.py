"""The model of the package on real images: by tables and as a plain folder, with figures printed.

``pytest -s -m long tests/inference/test_real_images.py`` prints what docs/detect.md states.
"""

from collections import Counter

import numpy as np
import pytest
import torch
from commands import call
from rig_folder import write_folder

from bev import load_detector
from bev.data.boxes_file import read_boxes
from bev.data.nuscenes.index_cache import open_index
from bev.data.nuscenes.rigs.of_sample import rig_of_sample

SCORE = 0.3


@pytest.fixture(scope="module")
def detector():
    return load_detector("synthetic", "cpu")


@pytest.fixture(scope="module")
def by_tables(detector, real_frames):
    return [detector.detect([frame], SCORE)[0].boxes for frame in real_frames]


@pytest.mark.long
def test_boxes_of_a_plain_folder_are_those_of_the_tables(real_frames, by_tables, tmp_path):
    """From the command line, with images, rig and nothing else."""
    for number, (frame, expected) in enumerate(zip(real_frames, by_tables, strict=True)):
        folder, out = write_folder(tmp_path / str(number), [frame]), tmp_path / f"out{number}"
        call(
            "detect.py", "synthetic", "--rig", folder / "rig.yaml", "--images", folder / "images",
            "--out", out, "--score", SCORE, "--no-pictures", "--device", "cpu",
        )  # fmt: skip
        (found,) = (one.boxes for one in read_boxes(out / "boxes.json").frames)
        assert len(found) == len(expected) > 5
        for name in ("center", "size", "yaw", "velocity", "score"):
            ours, theirs = getattr(found, name), getattr(expected, name)
            assert torch.allclose(ours, theirs, rtol=0, atol=1e-5), name
        assert torch.equal(found.label, expected.label)


@pytest.mark.long
def test_a_rig_without_the_motion_moves_boxes(nuscenes_root, detector, real_frames, by_tables):
    index = open_index(nuscenes_root, "v1.0-mini")
    for frame, expected in zip(real_frames, by_tables, strict=True):
        rig = rig_of_sample(index, frame.token, motion=False)
        found = detector([camera.path for camera in frame.cameras], rig, score=0.05).boxes
        moved = []
        for center, label in zip(expected.center, expected.label, strict=True):
            same = found.center[found.label == label]
            if len(same):
                moved.append(float((same - center)[:, :2].norm(dim=1).min()))
        middle, tenth = np.quantile(moved, (0.5, 0.9))
        print(f"{frame.token}: {len(moved)} of {len(expected)} boxes again; moved by {middle:.2f} m"
              f" in the median, {tenth:.2f} m at the 90th percentile")  # fmt: skip
        assert 0.01 < middle < 2  # cameras move by up to 0.4 m


@pytest.mark.long
def test_what_the_model_finds_on_photographs(detector, real_frames, by_tables):
    """Boxes of a score of 0.3, true within 2 m of an object of their class, as they are."""
    names, total = detector.labels.names, Counter()
    for frame, found in zip(real_frames, by_tables, strict=True):
        truth = frame.boxes
        for label, name in enumerate(names):
            own, true = found.center[found.label == label], truth.center[truth.label == label]
            near = torch.cdist(own[:, :2].double(), true[:, :2].double()) < 2
            total[name, "boxes"] += len(own)
            total[name, "true"] += int(near.any(1).sum())
            total[name, "objects"] += len(true)
            total[name, "found"] += int(near.any(0).sum())
    for name in names:
        boxes, true, objects, hits = (
            total[name, key] for key in ("boxes", "true", "objects", "found")
        )
        print(f"{name}: {boxes} boxes, {true} of them true; {hits} of {objects} objects found")
    assert total["barrier", "found"] > 0  # and hardly anything else
