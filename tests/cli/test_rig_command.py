"""``bevlab rig``: from nuScenes to a rig and back, and the check of a rig."""

import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import yaml
from commands import call

from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.data.rig import Rig, RigCamera, frames_of, load_rig, save_rig


@pytest.mark.parametrize("motion", [True, False])
def test_the_rig_of_a_sample_has_its_calibration_to_the_bit(motion, synthetic_world, tmp_path):
    index = open_index(synthetic_world, "v1.0-synthetic")
    frames = read_frames(index, "synthetic_val")
    out, path = tmp_path / "rig.yaml", frames[1]
    flags = [] if motion else ["--no-motion"]
    words = ["rig.py", "from-nuscenes", synthetic_world, path.token, "--out", out, *flags]
    call(*words)
    assert "rig.yaml exists already" in call(*words, code=1)[1]
    found = frames_of(load_rig(out), synthetic_world)
    # With the motion of this sample, only its images match; otherwise all below the root.
    (frame,) = (f for f in found if f.cameras[0].path == path.cameras[0].path)
    assert len(found) == (1 if motion else 12)
    for one, other in zip(frame.cameras, path.cameras, strict=True):
        assert (one.name, one.path, one.size) == (other.name, other.path, other.size)
        assert torch.equal(one.intrinsics, other.intrinsics)
        assert torch.equal(one.ego_from_camera, other.ego_from_camera) == motion
    assert frame.scene == (synthetic_world.name if motion else path.scene)


def test_the_rig_of_a_real_sample_is_read_back_to_the_bit(nuscenes_root, real_frames, tmp_path):
    out = tmp_path / "rig.yaml"
    token, version = real_frames[0].token, ["--version", "v1.0-mini"]
    call("rig.py", "from-nuscenes", nuscenes_root, token, "--out", out, *version)
    (frame,) = frames_of(load_rig(out), nuscenes_root)  # no image of the other log
    for one, other in zip(frame.cameras, real_frames[0].cameras, strict=True):
        assert one.path == other.path and torch.equal(one.ego_from_camera, other.ego_from_camera)
    _, error = call("rig.py", "from-nuscenes", nuscenes_root, "x", *version, code=1)
    assert "has no sample 'x'" in error


def test_a_check_draws_a_moment_and_names_what_is_wrong(synthetic_world, tmp_path):
    frame = read_frames(open_index(synthetic_world, "v1.0-synthetic"), "synthetic_val")[0]
    rig, picture = tmp_path / "rig.yaml", tmp_path / "check.png"
    call("rig.py", "from-nuscenes", synthetic_world, frame.token, "--out", rig, "--no-motion")
    command = ["rig.py", "check", rig, "--images", synthetic_world, "--out", picture]
    out, _ = call(*command)
    assert "6 cameras, 12 moments" in out and "nothing wrong" in out
    assert cv2.imread(str(picture)).shape[1] == 1736
    content = yaml.safe_load(rig.read_text())
    content["cameras"][0]["ego_from_camera"], content["cameras"][2]["ego_from_camera"] = (
        content["cameras"][2]["ego_from_camera"], content["cameras"][0]["ego_from_camera"],
    )  # fmt: skip
    rig.write_text(yaml.dump(content))
    out, _ = call(*command)
    assert "camera that looks elsewhere than its name says" in out and "CAM_FRONT_LEFT looks" in out
    _, error = call(*command, "--moment", "none", code=1)
    assert "has no moment 'none'" in error


def test_a_check_looks_at_the_images_of_all_moments(synthetic_world, tmp_path):
    frame = read_frames(open_index(synthetic_world, "v1.0-synthetic"), "synthetic_val")[0]
    camera, rig = frame.cameras[0], tmp_path / "rig.yaml"
    own = RigCamera("a", camera.intrinsics, camera.ego_from_camera, images="a/{seconds}.jpg")
    save_rig(Rig((own, replace(own, name="b", images="b/{seconds}.jpg"))), rig)
    for name in ("a/0", "a/1", "a/2", "b/0", "b/1", "b/1.1", "b/2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(camera.path, tmp_path / f"{name}.jpg")
    cv2.imwrite(str(tmp_path / "b" / "2.jpg"), np.zeros((32, 48, 3), np.uint8))
    command = ["rig.py", "check", rig, "--images", tmp_path, "--out", tmp_path / "check.png"]
    out, _ = call(*command, code=1)
    assert "warning: image that no moment uses: 1\n    b: b/1.1.jpg" in out
    assert "error: image that cannot be used with its camera: 1" in out
    assert "b/2.jpg is 48x32, but its calibration is for " in out and "picture of moment 0" in out
