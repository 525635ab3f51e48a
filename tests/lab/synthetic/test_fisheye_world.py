"""``Cameras`` projects objects of the fisheye world to the pixels on which they are painted.

The images were rendered with the lens's ``unproject``; these tests check its ``project``.
"""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from commands import SMALL, run
from shrunken import shrunken

from bev.config import load_file
from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.errors import DataError
from bev.geometry import Boxes3D, Cameras, KannalaBrandt, Pinhole, in_view, inverse_rigid
from bev.lab.synthetic import VERSION, WorldConfig, find_world, make_world
from bev.lab.synthetic.rendering.painter import paint_items
from bev.lab.synthetic.rig import FISHEYES
from bev.lab.synthetic.scene.scene import make_scene
from bev.lab.synthetic.visibility.ground_truth import frame_ground_truth
from bev.lab.synthetic.visibility.masks import item_mask
from bev.models.heads.image import image_heatmaps
from bev.visualization.camera_view import EDGES, draw_points, scaled_camera, upright_corners

pytestmark = pytest.mark.long

SIZE = (320, 180)
CONFIG = WorldConfig(
    train_scenes=1, val_scenes=1, frames_per_scene=2, seed=5, image_size=SIZE, lens="fisheye"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("wide") / "world", CONFIG, workers=1, progress=False)


@pytest.fixture(scope="module")
def frame(world):
    """A key frame read from the tables."""
    return read_frames(open_index(world, VERSION), "synthetic_train", tuple(FISHEYES))[1]


@pytest.fixture(scope="module")
def scene():
    return make_scene(CONFIG.scene_keys()[0], CONFIG)


@pytest.fixture(scope="module")
def ground_truth(scene):
    return frame_ground_truth(scene, 1, SIZE)


@pytest.fixture(scope="module")
def masks(scene, ground_truth) -> dict[str, np.ndarray]:
    """Masks by camera, (items, H, W): visibility of each item in the fisheye image."""
    found = {}
    for camera in scene.rig.cameras:
        views = [ground_truth.views[part.mount.channel] for part in camera.parts(SIZE)]
        shown = [item_mask(view)[0] for view in views]
        found[camera.channel] = np.zeros((len(ground_truth.items.shapes), *SIZE[::-1]), bool)
        for item in np.unique(np.concatenate([mask.ravel() for mask in shown])):
            if item >= 0:
                parts = [255 * (mask == item).astype(np.uint8) for mask in shown]
                large = [cv2.resize(p, None, fx=2, fy=2, interpolation=0) for p in parts]
                found[camera.channel][item] = camera.assembled(large) > 127
    return found


def box_of(scene, ground_truth, actor: int, camera: str) -> Boxes3D:
    """An actor's box at the camera's time, in the ego frame at the lidar's time."""
    items = ground_truth.views[f"{camera} 0"].items
    ego_from_global = torch.from_numpy(np.linalg.inv(ground_truth.ego)).float()
    return Boxes3D.make(
        torch.from_numpy(items.centre[[actor]]).float(),
        torch.from_numpy(2 * items.half_size[[actor]]).float(),
        torch.tensor(items.yaw[[actor]]).float(),
    ).transform(ego_from_global)


def hull(camera: Cameras, box: Boxes3D) -> np.ndarray | None:
    """Mask (H, W) of the pixels within a projected box, or None if the box is cut off.

    The box is projected through points along its edges.
    """
    corners = upright_corners(box)[0]
    start, end = corners[EDGES[:, 0]], corners[EDGES[:, 1]]
    share = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None, None]
    pixels, depth = camera.project((start + share * (end - start)).reshape(-1, 3))
    if not in_view(pixels, depth, SIZE[::-1]).all():
        return None
    outline = cv2.convexHull((16 * (pixels.numpy() - 0.5)).round().astype(np.int32))
    filled = np.zeros(SIZE[::-1], np.uint8)
    cv2.fillConvexPoly(filled, outline, 1, cv2.LINE_8, 4)
    return filled.astype(bool)


def measures(scene, ground_truth, frame, masks, lens=None) -> np.ndarray:
    """Overlap of projected boxes with masks for fully visible objects, (objects, 3).

    Columns: intersection over union of the mask and the projected box, share of the mask in the
    box, and angle from the optical axis in degrees.
    """
    rows = []
    alone = ground_truth.visible > 0.999
    for entry in frame.cameras:
        camera = scaled_camera(entry, SIZE[::-1])
        used = camera if lens is None else replace(camera, lens=lens)
        for actor in np.flatnonzero(alone):
            shown = masks[entry.name][actor]
            box = box_of(scene, ground_truth, actor, entry.name)
            if shown.sum() < 40 or hull(camera, box) is None:
                continue
            inside = hull(used, box)
            if inside is None:
                rows.append((0.0, 0.0, np.nan))
                continue
            centre = inverse_rigid(camera.ego_from_camera) @ torch.tensor(
                [*box.center[0].tolist(), 1.0], dtype=torch.float64
            )
            angle = np.degrees(np.arctan2(centre[:2].norm(), centre[2]).item())
            overlap = (inside & shown).sum() / (inside | shown).sum()
            # Masks have half the images' resolution, so an object's border is a pixel wide.
            around = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            rows.append((overlap, (around & shown).sum() / shown.sum(), angle))
    return np.array(rows)


def test_projected_boxes_lie_on_the_pixels_of_their_objects(scene, ground_truth, frame, masks):
    """The overlap is high up to the rim; a pinhole lens in place of the fisheye does not fit."""
    overlap, covered, angle = measures(scene, ground_truth, frame, masks).T
    assert len(overlap) >= 15 and angle.max() > 80
    assert np.median(overlap) > 0.6 and overlap.min() > 0.4
    assert np.median(covered) > 0.99 and covered.min() > 0.95
    wrong, outside, _ = measures(scene, ground_truth, frame, masks, Pinhole()).T
    assert np.median(wrong) < 0.1 and np.median(outside) < 0.1


def test_other_coefficients_fit_less_well(scene, ground_truth, frame, masks):
    """A fisheye lens with wrong coefficients already misses objects."""
    right = measures(scene, ground_truth, frame, masks)[:, 1].mean()
    for numbers in ((-0.06, 0.0, 0.0, 0.0), (0.12, 0.0, 0.0, 0.0)):
        other = KannalaBrandt.make(numbers, 1.6)
        assert measures(scene, ground_truth, frame, masks, other)[:, 1].mean() < right - 0.3


def test_images_agree_with_the_masks(scene, ground_truth, masks):
    for camera in scene.rig.cameras[:2]:
        painted = []
        for part in camera.parts(SIZE):
            image = np.full((*part.size[::-1], 3), 128, np.uint8)
            paint_items(image, ground_truth.views[part.mount.channel], scene.weather)
            painted.append(255 * (image != 128).any(-1).astype(np.uint8))
        changed, shown = camera.assembled(painted) > 127, masks[camera.channel].any(0)
        near = cv2.dilate(shown.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        sure = cv2.erode(shown.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        assert changed[sure].mean() > 0.99 and changed[~near].mean() < 0.01


def test_visibility_counts_the_pixels_of_the_fisheye_image(scene, ground_truth, masks):
    pixels = np.zeros(ground_truth.items.actors)
    for camera in scene.rig.cameras:
        for part in camera.parts(SIZE):
            view = ground_truth.views[part.mount.channel]
            mask, alone = item_mask(view)
            own = np.bincount(
                mask[mask >= 0], view.weight[mask >= 0], len(ground_truth.items.shapes)
            )
            assert (own <= alone + 1e-9)[: ground_truth.items.actors].mean() > 0.9
            pixels += own[: ground_truth.items.actors]
    counted = sum(mask[: ground_truth.items.actors].sum((1, 2)) for mask in masks.values())
    large = counted > 60
    assert large.sum() > 8
    np.testing.assert_allclose(pixels[large], counted[large], rtol=0.15)
    assert ((ground_truth.visible >= 0) & (ground_truth.visible <= 1)).all() and (
        ground_truth.visible > 0.9
    ).sum() > 5


def test_image_targets_stand_on_objects(scene, ground_truth, frame, masks):
    """The cell of each peak shows an object, for large, fully visible objects."""
    met = total = 0
    for entry in frame.cameras:
        camera = scaled_camera(entry, SIZE[::-1]).to(torch.float32)[None]
        for actor in np.flatnonzero(ground_truth.visible > 0.999):
            if masks[entry.name][actor].sum() < 100:
                continue
            box = box_of(scene, ground_truth, actor, entry.name)
            heatmaps = image_heatmaps(box, 10, camera, SIZE[::-1], (45, 80), 4)
            peaks = (heatmaps[0, 0] == 1).nonzero().tolist()
            shown = masks[entry.name][actor].reshape(45, 4, 80, 4).any((1, 3))
            total += len(peaks)
            met += sum(bool(shown[row, column]) for row, column in peaks)
    assert total >= 5 and met >= 0.8 * total


def test_lidar_points_are_drawn_inside_the_image_circle(frame):
    entry = frame.cameras[1]
    image = np.zeros((*SIZE[::-1], 3), np.uint8)
    draw_points(image, scaled_camera(entry, SIZE[::-1]), frame.load_lidar())
    drawn = image.any(-1)
    assert drawn.mean() > 0.05
    assert not drawn[:15, :15].any() and not drawn[-15:, -15:].any()  # outside the image circle


def test_the_tables_contain_the_lens(world, frame, scene):
    rows = json.loads((world / VERSION / "calibrated_sensor.json").read_text())
    assert sum(row.get("camera_model") == "fisheye" for row in rows) == 2 * 4
    for entry in frame.cameras:
        mount = scene.rig.mounts[entry.name]
        assert torch.equal(entry.lens.coefficients, mount.lens.coefficients)
        assert torch.equal(entry.lens.max_angle, mount.lens.max_angle)
        np.testing.assert_array_equal(entry.intrinsics.numpy(), mount.intrinsic)


def test_scenes_equal_those_of_the_pinhole_world(scene):
    same = replace(CONFIG, lens="pinhole")
    other = make_scene(same.scene_keys()[0], same)
    assert [(a.label, a.motion) for a in other.actors] == [
        (a.label, a.motion) for a in scene.actors
    ]
    assert other.firings[1]["CAM_BACK_LEFT"] == scene.firings[1]["CAM_LEFT"]
    assert other.look_seed == scene.look_seed


def test_a_detector_trains_on_the_fisheye_world(world):
    """A few augmented steps with depth and image losses: the loss falls, all values are finite."""
    config = shrunken(load_file(Path(__file__).parents[3] / "configs" / "lss_synthetic.py"))
    data = replace(config.data, root=world, cameras=tuple(FISHEYES), workers=0)
    frames = KeyFrames(data.source.open(data).frames("synthetic_train"), data, training=True)
    batch = collate([frames[0], frames[1]])
    lens = batch.views.cameras.lens
    assert type(lens) is KannalaBrandt and lens.coefficients.shape == (2, 4, 4)
    model = config.model.build()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(4):
        terms = model.loss(batch)
        assert terms["depth"] > 0 and terms["image"] > 0
        optimizer.zero_grad()
        loss = sum(terms.values())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(p.grad.isfinite().all() for p in model.parameters())
    boxes = model.eval().detect(batch)
    assert all(own.center.isfinite().all() for own in boxes)


@pytest.mark.slow
def test_the_commands_run_on_the_fisheye_world(tmp_path):
    """The fisheye world is made, checked, trained on, evaluated and drawn."""
    root = tmp_path / "world"
    run("make_synthetic.py", root, "--lens", "fisheye", "--scenes", "1", "--val-scenes", "1",
        "--frames", "2")  # fmt: skip
    run("check_data.py", root, "--lidar", "--decode")
    run(
        "train.py", "configs/lss_synthetic.py", "--data.root", root, "--train.runs", tmp_path,
        "--data.cameras", *FISHEYES, "--train.run-name", "wide", "--train.devices", "1",
        "--train.max-steps", "3", *SMALL,
    )  # fmt: skip
    best = tmp_path / "lss_synthetic" / "wide" / "checkpoints" / "best.ckpt"
    run("evaluate.py", best)
    run("visualize.py", best, "--samples", "1")
    assert list((best.parents[1] / "pictures").rglob("*.png"))


def test_a_world_with_another_lens_is_refused(world):
    assert find_world(world, CONFIG) == world
    with pytest.raises(DataError, match="its lens is fisheye, wanted pinhole"):
        find_world(world, replace(CONFIG, lens="pinhole"))
