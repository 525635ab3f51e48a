"""A custom data set with another rig: tables, training, metrics and pictures."""

import json
import re
from dataclasses import replace

import pytest
import torch
from commands import ROOT, call
from opened import opened
from own_data import CAMERAS, FRAMES, SPLITS, VERSION, write_own_data

from bev.data.adjacent import AdjacentConfig
from bev.data.augmentation import ImageAugmentation
from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.data.nuscenes.index import reference_row
from bev.data.nuscenes.tables import REQUIRED, TABLES
from bev.data.settings import DataConfig
from bev.errors import DataError

LOST = ("scene-a-1", "CAM_LEFT")
SMALL = [
    "--model.backbone.channels", "8", "8", "16", "16", "--model.backbone.stem", "8",
    "--model.neck.channels", "16", "--model.view.channels", "8", "--model.encoder.stages", "16",
    "16", "16", "--model.encoder.neck", "16", "--model.encoder.channels", "16",
    "--model.encoder.blocks", "1", "--model.head.shared", "16", "--model.head.branch", "8",
    "--model.grid.x", "-25.6", "25.6", "1.6", "--model.grid.y", "-25.6", "25.6", "1.6",
    "--model.head.decode.post-max-size", "20", "--model.view.depth.hi", "25",
    "--model.view.depth.step", "2",
    "--data.image-size", "96", "176", "--data.batch-size", "2", "--train.max-steps", "1",
    "--train.pictures", "1", "--train.threads", "1", "--train.precision", "32",
]  # fmt: skip


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> DataConfig:
    """Settings with all four cameras; one image of the training scene is missing."""
    root = write_own_data(tmp_path_factory.mktemp("own") / "root", {LOST})
    return DataConfig(
        root=root,
        version=VERSION,
        train_split="mine_train",
        val_split="mine_val",
        cameras=tuple(CAMERAS),
        missing_cameras="skip",
        image_size=(96, 176),
        image_augmentation=ImageAugmentation(scale=(-0.04, 0.04)),
        batch_size=2,
        workers=0,
    )


def test_the_documentation_names_the_tables_and_fields_that_are_read():
    """The table in docs/data.md lists the same tables and fields as the reader."""
    page = (ROOT / "docs" / "data.md").read_text()
    section = page.split("## Your own data in nuScenes format")[1]
    listed = re.findall(r"^\| `(\w+)` \| (.+) \|$", section.split("\n## ")[0], re.MULTILINE)
    fields = {table: set(re.findall(r"`(\w+)`", names)) for table, names in listed}
    assert fields == {
        table: {column.field or name for name, column in columns.items()} - {"token"}
        for table, columns in TABLES.items()
    }


def test_the_minimal_data_set_has_the_required_fields_and_no_more(own):
    files = {path.stem: json.loads(path.read_text()) for path in (own.root / VERSION).iterdir()}
    assert files.pop("splits") == SPLITS
    assert set(files) == set(TABLES)
    for table, rows in files.items():
        needed = {n: c for n, c in TABLES[table].items() if c.default is REQUIRED}
        assert set(rows[0]) == {c.field or name for name, c in needed.items()}


@pytest.mark.parametrize("chosen", [tuple(CAMERAS), ("CAM_BEHIND", "CAM_RIGHT"), ("CAM_LEFT",)])
def test_image_sizes_and_intrinsics_may_differ_between_cameras(own, chosen):
    """With reduced decoding and augmentation, each red spot lies at its car's projected centre."""
    config = replace(own, cameras=chosen)
    data = KeyFrames(opened(config).frames("mine_val"), config, training=True)
    seen = torch.zeros(len(chosen), dtype=torch.long)
    for epoch in range(8):
        batch = collate([data[(epoch, i)] for i in range(FRAMES)])
        assert batch.views.camera_mask is None and batch.views.images.shape[:2] == (
            FRAMES,
            len(chosen),
        )
        for sample in range(FRAMES):
            boxes = batch.boxes[sample].transform(torch.linalg.inv(batch.bev_from_ego[sample]))
            points = boxes.center.expand(len(chosen), -1, 3)
            pixels, depth = batch.views.cameras[sample].project(points)
            inside = (depth > 1) & (pixels > 4).all(-1)
            inside &= (pixels < torch.tensor([172.0, 92.0])).all(-1)
            for camera, box in inside.nonzero().tolist():
                column, row = pixels[camera, box].long().tolist()
                patch = batch.views.images[
                    sample, camera, :, row - 1 : row + 2, column - 1 : column + 2
                ]
                red, green, blue = patch.float().mean(dim=(1, 2)).tolist()
                assert red > 180 and green < 70 and blue < 70
                seen[camera] += 1
    assert (seen > FRAMES * 4).all()


def test_without_lidar_the_ego_frame_is_that_of_the_first_sample_data_record(own):
    frames = opened(own).frames("mine_val")
    first = reference_row(frames.tables, int(frames.rows[0]))
    assert frames.tables.sample_data.filename[first].startswith(b"samples/CAM_AHEAD/")
    frame = frames[0]
    assert frame.lidar_path is None
    # CAM_RIGHT fires 60 ms later, 0.48 m further on.
    positions = torch.stack([camera.ego_from_camera[:3, 3] for camera in frame.cameras])
    expected = torch.tensor([[0.5 + 0.16 * i, 0.0, 1.5] for i in range(4)], dtype=torch.float64)
    torch.testing.assert_close(positions, expected)
    with pytest.raises(DataError, match="has no lidar; switch it off"):
        frame.load_lidar()


def test_adjacent_frames_show_the_available_cameras_of_the_sample(own):
    """One frame has three cameras, the other four: adjacent views contain the three common ones."""
    config = replace(own, adjacent=AdjacentConfig(previous=1, following=1))
    data = KeyFrames(opened(config).frames("mine_train"), config, training=True)
    batch = collate([data[0], data[1]])
    before, after = batch.adjacent
    assert batch.views.camera_mask.sum(dim=1).tolist() == [4, 3]
    assert before.camera_mask.sum(dim=1).tolist() == [
        4,
        3,
    ]  # the first frame's previous: itself
    assert after.camera_mask is None and after.images.shape[1] == 3
    # The second frame's previous views: AHEAD, BEHIND and RIGHT, augmented like the second frame.
    for of_camera in ("intrinsics", "image_from_original"):
        pair = (getattr(views.cameras, of_camera)[1, :3] for views in (batch.views, before))
        assert torch.equal(*pair)
    dropping = replace(config, drop_cameras=2)
    sample = KeyFrames(opened(config).frames("mine_train"), dropping, training=True)[1]
    now, other = sample.views, sample.adjacent[0]
    assert now.images.shape[1] == other.images.shape[1] == 2
    assert torch.equal(now.cameras.intrinsics, other.cameras.intrinsics)


@pytest.mark.slow
def test_training_evaluation_and_pictures(own, tmp_path):
    data = KeyFrames(opened(own).frames("mine_train"), own, training=True)
    assert collate([data[0], data[1]]).views.camera_mask.sum(dim=1).tolist() == [4, 3]
    config = ROOT / "configs" / "lss_r50_mini.py"
    folder = tmp_path / "lss_r50_mini" / "own"
    call(
        "train.py", config, "--data.root", own.root, "--data.version", VERSION,
        "--data.cameras", *CAMERAS, "--data.train-split", "mine_train", "--data.val-split",
        "mine_val", "--data.missing-cameras", "skip", *SMALL, "--train.runs", tmp_path,
        "--train.run-name", "own",
    )  # fmt: skip
    assert len(list((folder / "pictures").glob("*.png"))) == 1
    best = folder / "checkpoints" / "best.ckpt"
    out, _ = call(
        "evaluate.py", best, "--without", "CAM_LEFT", "CAM_RIGHT",
        "--extrinsic-noise", "1", "0.1",
    )  # fmt: skip
    name = "mine_val_best_without_CAM_LEFT_CAM_RIGHT_noise_1_deg_0.1_m_seed_0"
    assert name in out and "NDS" in out
    evaluations = [folder / "evaluation" / n / "results_nusc.json" for n in ("mine_val", name)]
    whole, perturbed = (json.loads(path.read_text())["results"] for path in evaluations)
    assert set(whole) == set(perturbed) == {f"scene-b-{i}" for i in range(FRAMES)}
    assert whole != perturbed
    # The same model with another rig: a checkpoint does not depend on the number of cameras.
    call("evaluate.py", best, "--out", tmp_path / "one", "--data.cameras", "CAM_BEHIND")
    assert (tmp_path / "one" / "metrics_summary.json").is_file()
    call("visualize.py", best, "--check", "--split", "mine_train", "--out", tmp_path / "check")
    assert len(list((tmp_path / "check").glob("*_check.png"))) == FRAMES


def test_a_missing_file_is_no_missing_camera(tmp_path):
    root = write_own_data(tmp_path / "root")
    config = DataConfig(root=root, version=VERSION, cameras=tuple(CAMERAS), missing_cameras="skip")
    (root / "samples" / "CAM_RIGHT" / "scene-b-1.jpg").unlink()
    data = KeyFrames(opened(config).frames("mine_val"), config, training=False)
    assert data[0].views.images.shape[1] == 4
    with pytest.raises(DataError, match=r"CAM_RIGHT/scene-b-1.jpg cannot be read"):
        data[1]
