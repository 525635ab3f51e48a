"""Key frames as batches: augmentation keeps the geometry consistent and repeats by seed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from nuscenes import NuScenes
from opened import opened
from own_data import CAMERAS, VERSION, write_own_data
from torch.utils.data import DataLoader

from bev.data.augmentation import BevAugmentation, ImageAugmentation
from bev.data.batch import collate
from bev.data.dataset import KeyFrames, drop_cameras
from bev.data.epoch import EpochPlan, EpochSampler
from bev.data.nuscenes.index_cache import open_index
from bev.data.nuscenes.splits import default_splits, split_rows
from bev.data.polygons import PolygonConfig
from bev.data.settings import DataConfig
from bev.errors import ConfigError, DataError
from bev.geometry import apply_transform


@pytest.fixture(scope="module")
def config_and_frames(synthetic_world):
    config = DataConfig(
        root=synthetic_world, version="v1.0-synthetic", image_size=(64, 176), lidar=True, workers=0
    )
    return config, opened(config).frames("synthetic_train")


def test_boxes_follow_images_and_bev_through_augmentation(config_and_frames):
    """A corner projected after augmentation is the augmented projection of the corner."""
    config, frames = config_and_frames
    plain = KeyFrames(frames, replace(config, image_augmentation=ImageAugmentation.off(),
                                      bev_augmentation=BevAugmentation.off()), True)  # fmt: skip
    strong = KeyFrames(
        frames, replace(config, image_augmentation=ImageAugmentation(flip="mirror")), True
    )
    for index in range(3):
        before, after = plain[(0, index)], strong[(5, index)]
        corners = before.boxes[0].corners().reshape(1, 1, -1, 3).expand(1, 6, -1, 3)
        pixels, depth = before.views.cameras.project(corners)
        # The ground truth, moved back from the augmented BEV frame.
        ego_from_bev = torch.linalg.inv(after.bev_from_ego[0])
        returned = after.boxes[0].transform(ego_from_bev)
        order = torch.cdist(before.boxes[0].center, returned.center).argmin(dim=1)
        torch.testing.assert_close(
            returned.center[order], before.boxes[0].center, atol=1e-3, rtol=1e-4
        )
        moved, _ = after.views.cameras.project(corners)
        image_from_before = after.views.cameras.image_from_original @ torch.linalg.inv(
            before.views.cameras.image_from_original
        )
        homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
        expected = (homogeneous @ image_from_before.transpose(-1, -2))[..., :2]
        seen = (depth > 1) & (pixels.abs() < 1000).all(dim=-1)
        assert seen.any()
        torch.testing.assert_close(moved[seen], expected[seen], atol=0.1, rtol=0)


def test_augmentation_depends_on_the_seed_and_the_visit_alone(config_and_frames):
    config, frames = config_and_frames
    data = KeyFrames(frames, config, True, seed=7)

    def fingerprint(workers):
        sampler = EpochSampler(EpochPlan.of(np.ones(len(frames))), seed=7)
        sampler.set_epoch(2)
        loader = DataLoader(data, sampler=sampler, num_workers=workers, collate_fn=collate)
        return [
            (b.tokens[0], b.views.images.sum().item(), b.bev_from_ego.sum().item()) for b in loader
        ]

    first = fingerprint(0)
    assert first == fingerprint(2)
    assert len({entry[2] for entry in first}) == len(first)  # every sample has its own draw
    assert data[(3, 0)].bev_from_ego.sum() != data[(2, 0)].bev_from_ego.sum()
    # A frame visited twice in an epoch gets another augmentation.
    assert data[(2, 0, 1)].bev_from_ego.sum() != data[(2, 0)].bev_from_ego.sum()


def test_a_batch_joins_samples_and_moves(config_and_frames):
    config, frames = config_and_frames
    data = KeyFrames(frames, config, True)
    batch = collate([data[0], data[1]]).to("cpu")
    assert len(batch) == 2
    views = batch.views
    assert views.images.shape == (2, 6, 3, 64, 176) and views.images.dtype == torch.uint8
    assert views.cameras.intrinsics.shape == (2, 6, 3, 3)
    assert len(batch.lidar) == 2 and len(batch.lidar[0]) > 1000
    assert batch.global_from_ego.dtype == torch.float64


def test_evaluation_loads_lidar_if_requested_and_available(config_and_frames):
    config, frames = config_and_frames
    assert len(KeyFrames(frames, config, training=False)[0].lidar[0]) > 1000
    assert len(KeyFrames(frames, replace(config, lidar=False), False)[0].lidar[0]) == 0
    lost = replace(frames[0], lidar_path=None)
    assert len(KeyFrames([lost], config, training=False)[0].lidar[0]) == 0


def test_any_subset_and_order_of_cameras(config_and_frames):
    config, _ = config_and_frames
    chosen = replace(config, cameras=("CAM_BACK", "CAM_FRONT"))
    frame = opened(chosen).frames("synthetic_val")[0]
    assert [camera.name for camera in frame.cameras] == ["CAM_BACK", "CAM_FRONT"]
    with pytest.raises(DataError, match="CAM_SIDE.*it has"):
        opened(replace(config, cameras=("CAM_SIDE",))).frames("synthetic_val")


def test_dropped_cameras_vary_by_epoch_and_keep_their_order(config_and_frames):
    config, frames = config_and_frames
    data = KeyFrames(frames, replace(config, drop_cameras=2), training=True, seed=3)
    names = [camera.name for camera in frames[0].cameras]
    own = {c.intrinsics[0, 0].item(): i for i, c in enumerate(frames[0].cameras)}
    assert len(own) == 6  # the focal lengths identify the cameras
    seen = set()
    for epoch in range(16):
        focal = data[(epoch, 0)].views.cameras.intrinsics[0, :, 0, 0].double()
        kept = [min(own, key=lambda f, x=x: abs(f - x)) for x in focal.tolist()]
        kept = [own[f] for f in kept]
        assert len(kept) == 4 and kept == sorted(kept)
        seen.add(tuple(kept))
    assert len(seen) > 6  # of 15 combinations
    assert torch.equal(data[(4, 1)].views.images, data[(4, 1)].views.images)
    assert KeyFrames(frames, data.config, training=False)[0].views.images.shape[1] == len(names)
    for wrong in (-1, 6):
        with pytest.raises(ConfigError, match=f"drop_cameras is {wrong}; of 6 cameras 0 to 5"):
            replace(config, drop_cameras=wrong)


def test_nothing_is_drawn_where_no_camera_is_dropped(config_and_frames):
    _, frames = config_and_frames
    rng, untouched = np.random.default_rng(1), np.random.default_rng(1)
    frame = frames[0]
    few = replace(frame, cameras=frame.cameras[:3])
    assert drop_cameras(frame, 6, rng) is frame and drop_cameras(few, 5, rng) is few
    assert rng.random() == untouched.random()


def test_every_camera_has_its_own_ego_pose(config_and_frames):
    """Cameras fire at different times: their poses relative to the sample's ego frame differ from
    the mounting alone."""
    config, frames = config_and_frames
    nusc = NuScenes(config.version, str(config.root), verbose=False)
    shifts = []
    for frame in frames:
        sample = nusc.get("sample", frame.token)
        for camera in frame.cameras:
            row = nusc.get("sample_data", sample["data"][camera.name])
            mounted = nusc.get("calibrated_sensor", row["calibrated_sensor_token"])["translation"]
            shifts.append((camera.ego_from_camera[:3, 3] - torch.tensor(mounted)).norm().item())
    assert max(shifts) > 0.1  # metres


def test_samples_without_boxes_are_served(config_and_frames):
    config, frames = config_and_frames
    none = frames[0].num_points[:0]
    empty = replace(frames[0], boxes=frames[0].boxes[:0], num_points=none, instances=none)
    batch = KeyFrames([empty], config, True)[0]
    assert len(batch.boxes[0]) == 0


def test_real_frames_are_loaded(nuscenes_root):
    config = DataConfig(root=nuscenes_root, version="v1.0-mini", lidar=True)
    (frame,) = opened(config).frames("mini_train")
    batch = KeyFrames([frame], config, training=True)[0]
    assert batch.views.images.shape == (1, 6, 3, 256, 704)
    assert len(batch.lidar[0]) == 34688
    assert len(batch.boxes[0]) == int((frame.num_points >= 1).sum())
    # The lidar files of mini_val are missing: an error only where training needs lidar.
    missing = opened(config).frames("mini_val")[:1]
    assert len(KeyFrames(missing, replace(config, lidar=False), True)[0].lidar[0]) == 0
    assert len(KeyFrames(missing, config, training=False)[0].lidar[0]) == 0
    with pytest.raises(DataError, match=r"LIDAR_TOP.*is missing"):
        KeyFrames(missing, config, True)[0]


def test_wrong_roots_versions_and_splits_are_named(nuscenes_root, tmp_path):
    with pytest.raises(DataError, match=r"nowhere does not exist"):
        open_index(tmp_path / "nowhere", "v1.0-mini")
    with pytest.raises(DataError, match=r"no version v1.0-trainval \(found: v1.0-mini"):
        open_index(nuscenes_root, "v1.0-trainval")
    index = open_index(nuscenes_root, "v1.0-mini")
    for split in ("val", "my_split"):
        with pytest.raises(DataError, match=rf"{split}.*mini_train and mini_val"):
            split_rows(index, split)
    (tmp_path / "v1.0-mini").mkdir()
    with pytest.raises(DataError, match="cannot be opened"):
        open_index(tmp_path, "v1.0-mini")
    assert default_splits("v1.0-trainval") == ("train", "val")
    with pytest.raises(DataError, match="train-split"):
        default_splits("v2")


def test_vehicle_polygons_do_not_depend_on_num_points(synthetic_world):
    """Training leaves out boxes without points, not their polygons; BEV augmentation applies."""
    data = DataConfig(
        root=synthetic_world, version="v1.0-synthetic", image_size=(64, 176),
        polygons=PolygonConfig(("vehicle",)),
    )  # fmt: skip
    frame = opened(data).frames("synthetic_train")[2]
    hidden = replace(frame, num_points=torch.zeros_like(frame.num_points))
    batch = KeyFrames([hidden], data, training=True)[0]
    assert len(batch.boxes[0]) == 0 and len(batch.polygons[0]) == 4 * len(frame.vehicles) > 0
    matrix = batch.bev_from_ego[0]
    corners = torch.nn.functional.pad(frame.vehicles.footprint(), (0, 1))
    expected = apply_transform(matrix, corners)[..., :2]
    starts = batch.polygons[0].edges[:, 0].view(-1, 4, 2)
    torch.testing.assert_close(starts, expected, rtol=0, atol=1e-4)
    assert batch.to("cpu").polygons[0].visibility.tolist() == [
        level for level in frame.vehicles.visibility.tolist() for _ in range(4)
    ]
    off = KeyFrames([frame], replace(data, polygons=PolygonConfig()), training=True)[0]
    assert list(off.polygons) == []


def test_emergency_vehicles_are_vehicles_but_no_detection_class(tmp_path):
    root = write_own_data(tmp_path / "own")
    table = root / VERSION / "category.json"
    table.write_text(table.read_text().replace("vehicle.car", "vehicle.emergency.police"))
    data = DataConfig(root=root, version=VERSION, cameras=tuple(CAMERAS))
    frame = opened(data).frames("mine_train")[0]
    assert len(frame.boxes) == 0 and len(frame.vehicles) == len(CAMERAS)
    assert set(frame.vehicles.label.tolist()) == {-1}
