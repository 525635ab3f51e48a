"""Frames of a scene at the rate of key frames and of sweeps."""

import json
import shutil

import pytest
import torch

from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.errors import DataError
from bev.visualization.video.scene import frames_per_second, scene_frames, scene_of

BETWEEN = 3


@pytest.fixture(scope="module")
def sweeps(synthetic_world, tmp_path_factory):
    """The key frames of a world whose cameras have three more images between two key frames."""
    root = tmp_path_factory.mktemp("sweeps")
    version = root / "v1.0-synthetic"
    shutil.copytree(synthetic_world / version.name, version)
    (root / "samples").symlink_to(synthetic_world / "samples")
    tables = {
        n: json.loads((version / f"{n}.json").read_text()) for n in ("sample_data", "ego_pose")
    }
    poses = {row["token"]: row for row in tables["ego_pose"]}
    rows = {row["token"]: row for row in tables["sample_data"]}
    for row in list(rows.values()):
        if not row["next"] or not row["filename"].endswith("jpg"):
            continue
        after = rows[row["next"]]
        ends = [poses[one["ego_pose_token"]] for one in (row, after)]
        last = row
        for number in range(1, BETWEEN + 1):
            share, token = number / (BETWEEN + 1), f"{row['token']}-{number}"
            pair = zip(*(end["translation"] for end in ends), strict=True)
            place = [a + share * (b - a) for a, b in pair]
            time = round(row["timestamp"] + share * (after["timestamp"] - row["timestamp"]))
            shared = {"token": token, "timestamp": time}
            tables["ego_pose"].append({**ends[0], **shared, "translation": place})
            new = {**row, **shared, "ego_pose_token": token, "is_key_frame": False}
            last["next"], new["prev"] = token, last["token"]
            tables["sample_data"].append(new)
            last = new
        last["next"], after["prev"] = after["token"], last["token"]
    for name, table in tables.items():
        (version / f"{name}.json").write_text(json.dumps(table))
    return read_frames(open_index(root, version.name), "synthetic_train")


def test_the_first_scene_is_the_default_and_an_unknown_one_is_named(sweeps):
    first, *_, last = sweeps.scenes
    assert set(scene_of(sweeps).scenes) == {first} != {last}
    assert set(scene_of(sweeps, last).scenes) == {last}
    assert len(scene_of(sweeps, last)) == 4
    with pytest.raises(DataError, match=rf"no scene 'nine'; the nearest are .*{first}"):
        scene_of(sweeps, "nine")


def test_sweeps_lie_between_the_key_frames(sweeps):
    scene = scene_of(sweeps)
    keys = list(scene_frames(scene))
    frames = list(scene_frames(scene, "sweeps"))
    assert len(keys) == 4 and len(frames) == 4 + 3 * BETWEEN
    assert [frame.token for frame in frames[:: BETWEEN + 1]] == [frame.token for frame in keys]
    times = torch.tensor([frame.timestamp for frame in frames])
    assert times.diff().tolist() == pytest.approx([125_000] * 12, abs=500)
    assert frames_per_second(scene) == pytest.approx(2)
    assert frames_per_second(scene, "sweeps") == pytest.approx(8)
    assert all(len(frame.cameras) == len(keys[0].cameras) for frame in frames)


def test_objects_move_evenly_between_key_frames(sweeps):
    """Each tracked object has equal steps in the global frame within each interval."""
    frames = list(scene_frames(scene_of(sweeps), "sweeps"))[: BETWEEN + 2]
    places = []
    for frame in frames:
        boxes = frame.boxes.double().transform(frame.global_from_ego)
        places.append(dict(zip(frame.instances.tolist(), boxes.center, strict=True)))
    common = set(places[0]) & set(places[-1])
    assert common and all(common <= set(one) for one in places)
    for number in common:
        steps = torch.stack([one[number] for one in places]).diff(dim=0)
        assert (steps - steps.mean(dim=0)).abs().max() < 1e-3


def test_without_sweeps_the_remedy_is_named(synthetic_world):
    frames = read_frames(open_index(synthetic_world, "v1.0-synthetic"), "synthetic_val")
    assert list(frames.sweeps(0)) == []
    with pytest.raises(DataError, match="no images between its key frames.*--rate key_frames"):
        list(scene_frames(scene_of(frames), "sweeps"))
