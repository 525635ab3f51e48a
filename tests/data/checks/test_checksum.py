"""The checksum of a split covers what is in its frames, and not where they are."""

import shutil
from dataclasses import replace

import pytest
import torch
from commands import call

from bev.data.checks.checksum import frames_checksum
from bev.data.settings import DataConfig
from bev.errors import DataError


def frames_of(root, version="v1.0-synthetic", split="synthetic_val") -> list:
    data = DataConfig(root=root, version=version)
    return list(data.source.open(data).frames(split))


def test_a_copy_elsewhere_has_the_same_checksum_until_a_byte_changes(synthetic_world, tmp_path):
    copy = shutil.copytree(synthetic_world, tmp_path / "copy")
    printed = [
        call("check_data.py", root, "--version", "v1.0-synthetic", "--checksum", "synthetic_val")[0]
        for root in (synthetic_world, copy)
    ]
    assert printed[0] == printed[1]
    digest = frames_checksum(frames_of(copy))
    assert printed[0] == f"synthetic_val of v1.0-synthetic, 4 frames, SHA-256 {digest}\n"
    image = frames_of(copy)[3].cameras[5].path
    image.write_bytes(image.read_bytes() + b"\0")
    assert frames_checksum(frames_of(copy)) != digest
    image.unlink()
    with pytest.raises(DataError, match=rf"Image {image} cannot be read .*; restore it"):
        frames_checksum(frames_of(copy))


@pytest.mark.parametrize("part", ["token", "order", "box", "velocity", "label", "pose", "focal"])
def test_everything_that_is_evaluated_counts(synthetic_world, part):
    frames = frames_of(synthetic_world)[:2]
    first, boxes, camera = frames[0], frames[0].boxes, frames[0].cameras[0]
    moved = torch.zeros(len(boxes), 3)
    moved[-1, 0] = 0.001
    pose, focal = camera.ego_from_camera.clone(), camera.intrinsics.clone()
    pose[0, 3] += 0.001
    focal[0, 0] += 0.001
    changed = {
        "token": [replace(first, token="other"), frames[1]],
        "order": frames[::-1],
        "box": [replace(first, boxes=replace(boxes, center=boxes.center + moved)), frames[1]],
        "velocity": [
            replace(first, boxes=replace(boxes, velocity=boxes.velocity + moved[:, :2])), frames[1],
        ],
        "label": [replace(first, boxes=replace(boxes, label=(boxes.label + 1) % 10)), frames[1]],
        "pose": [
            replace(first, cameras=(replace(camera, ego_from_camera=pose), *first.cameras[1:])),
            frames[1],
        ],
        "focal": [
            replace(first, cameras=(replace(camera, intrinsics=focal), *first.cameras[1:])),
            frames[1],
        ],
    }[part]  # fmt: skip
    assert frames_checksum(changed) != frames_checksum(frames)


def test_rounding_errors_do_not_count(synthetic_world):
    frames = frames_of(synthetic_world)[:1]
    boxes = frames[0].boxes
    near = replace(boxes, center=boxes.center.double() + 1e-9)
    assert frames_checksum([replace(frames[0], boxes=near)]) == frames_checksum(frames)
