"""Rendered items: masks compared with rays, images compared with projected boxes."""

import cv2
import numpy as np
import pytest
from nuscenes.utils.geometry_utils import view_points

from bev.lab.synthetic.objects.shape import ShapeBuilder
from bev.lab.synthetic.rendering.painter import paint_items
from bev.lab.synthetic.rendering.render import Renderer
from bev.lab.synthetic.rig import CAMERAS
from bev.lab.synthetic.scene.actors import Prop
from bev.lab.synthetic.scene.scene import make_scene
from bev.lab.synthetic.visibility.ground_truth import frame_ground_truth
from bev.lab.synthetic.visibility.items import Items
from bev.lab.synthetic.visibility.masks import MASK_SCALE, item_mask, visible_share
from bev.lab.synthetic.visibility.ordering import item_planes, paint_rank
from bev.lab.synthetic.visibility.view import View


@pytest.fixture(scope="module")
def scene(synthetic_config):
    return make_scene(synthetic_config.scene_keys()[0], synthetic_config)


@pytest.fixture(scope="module")
def ground_truth(scene, synthetic_config):
    return frame_ground_truth(scene, 1, synthetic_config.image_size)


def nearest_item(view: View, pixels: np.ndarray) -> np.ndarray:
    """Brute force: the first item on the ray of each continuous pixel, -1 for none."""
    k = view.intrinsic
    rays = np.column_stack([(pixels - k[:2, 2]) / (k[0, 0], k[1, 1]), np.ones(len(pixels))])
    rays = rays @ view.camera_from_global[:3, :3]
    best, found = np.full(len(rays), np.inf), np.full(len(rays), -1)
    for i, shape in enumerate(view.items.shapes):
        turn = view.items.rotation[i]
        origin, along = (view.position - view.items.position[i]) @ turn, rays @ turn
        for solid in range(len(shape.solid_points) - 1):
            planes = shape.planes[shape.solid_planes[solid] : shape.solid_planes[solid + 1]]
            rate, height = along @ planes[:, :3].T, origin @ planes[:, :3].T + planes[:, 3]
            with np.errstate(divide="ignore", invalid="ignore"):
                meet = -height / rate
            enter = np.where(rate < 0, meet, -np.inf).max(1)
            leave = np.where(rate > 0, meet, np.inf).min(1)
            hit = (enter <= leave) & (enter > 0.12) & (enter < best)
            best[hit], found[hit] = enter[hit], i
    return found


@pytest.mark.parametrize("camera", CAMERAS)
def test_mask_shows_the_first_item_on_each_ray(ground_truth, camera):
    view = ground_truth.views[camera]
    mask, _ = item_mask(view)
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(0, mask.shape[0], 1500), rng.integers(0, mask.shape[1], 1500)
    near = nearest_item(view, np.column_stack([columns + 0.5, rows + 0.5]) * MASK_SCALE)
    # Edges are half a mask pixel thick; all other pixels must agree.
    window = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
    around = [
        mask[np.clip(rows + dy, 0, mask.shape[0] - 1), np.clip(columns + dx, 0, mask.shape[1] - 1)]
        for dx, dy in window
    ]
    assert (np.stack(around) == near).any(0).mean() > 0.985
    assert (mask[rows, columns] == near).mean() > 0.95


def test_masks_lie_where_the_devkit_projects_the_boxes(
    devkit, scene, ground_truth, synthetic_config
):
    sample = devkit.sample[1]
    checked = 0
    for camera in CAMERAS:
        view = ground_truth.views[camera]
        mask, alone = item_mask(view)
        shown = np.bincount(mask[mask >= 0], minlength=len(alone))
        _, boxes, intrinsic = devkit.get_sample_data(sample["data"][camera])
        centres = ground_truth.items.centre[: ground_truth.items.actors]
        for box in boxes:
            row = devkit.get("sample_annotation", box.token)
            i = int(np.linalg.norm(centres - row["translation"], axis=1).argmin())
            if scene.actors[i].motion.speed > 0 or shown[i] < max(40, alone[i]):
                continue
            corners = view_points(box.corners(), intrinsic, normalize=True)[:2]
            low, high = corners.min(1) / MASK_SCALE, corners.max(1) / MASK_SCALE
            if (low < 1).any() or (high > (mask.shape[1] - 1, mask.shape[0] - 1)).any():
                continue
            rows, columns = np.nonzero(mask == i)
            assert columns.min() + 1.2 > low[0] and columns.max() < high[0] + 0.2
            assert rows.min() + 1.2 > low[1] and rows.max() < high[1] + 0.2
            assert np.ptp(columns) + 1 > 0.6 * (high - low)[0]
            checked += 1
    assert checked >= 5


def test_items_are_painted_inside_their_masks_alone(scene, ground_truth, synthetic_config):
    camera = "CAM_FRONT"
    view = ground_truth.views[camera]
    mask, _ = item_mask(view)
    big = int(np.bincount(mask[mask >= 0]).argmax())
    blank = np.full((450, 800, 3), 128, np.uint8)
    paint_items(blank, view, scene.weather)
    # Wheels are decals that hang below their bodies, so a little more than the mask is painted.
    full = cv2.resize((mask >= 0).astype(np.uint8), (800, 450), interpolation=cv2.INTER_NEAREST)
    changed = (blank != 128).any(-1)
    sure = cv2.erode(full, np.ones((7, 7), np.uint8)) > 0
    near = cv2.dilate(full, np.ones((15, 15), np.uint8)) > 0
    assert (mask == big).sum() > 200
    assert changed[sure].mean() > 0.99 and changed[~near].mean() < 0.01


def test_images_are_small_and_deterministic(scene, ground_truth, synthetic_config):
    first = Renderer(scene, synthetic_config.image_size).images(ground_truth, 1)
    again = Renderer(scene, synthetic_config.image_size).images(ground_truth, 1)
    total = 0
    for camera in CAMERAS:
        assert np.array_equal(first[camera], again[camera])
        assert first[camera].std() > 10
        total += len(cv2.imencode(".jpg", first[camera], [1, synthetic_config.jpeg_quality])[1])
    assert total < 400_000


def two_boxes(near_x: float, far_x: float) -> View:
    def block():
        b = ShapeBuilder()
        b.box((-1, 1), (-1, 1), (0, 2), (0, 0, 200))
        return b.build()

    spots = [Prop(block(), near_x, 0.0, 0.3), Prop(block(), far_x, 0.0, -0.2)]
    items = Items(
        [p.shape for p in spots],
        np.array([(p.x, p.y, p.z) for p in spots]),
        np.array([p.yaw for p in spots]),
        2,
    )
    camera_from_global = np.eye(4)
    camera_from_global[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    camera_from_global[:3, 3] = camera_from_global[:3, :3] @ [0, 0, -1.0]
    intrinsic = np.array([[300.0, 0, 160], [0, 300, 90], [0, 0, 1]])
    return View(items, intrinsic, camera_from_global, (320, 180), *item_planes(items))


def test_the_nearer_box_hides_the_farther():
    for near, far in ((0, 1), (1, 0)):
        view = two_boxes(*((8.0, 20.0) if near == 0 else (20.0, 8.0)))
        share = visible_share([view])
        assert share[near] == 1.0 and share[far] == 0.0


def test_paint_rank_completes_the_order():
    before = np.zeros((4, 4), bool)
    before[2, 0] = before[0, 3] = before[3, 1] = True
    assert np.argsort(paint_rank(before, np.zeros(4))).tolist() == [2, 0, 3, 1]
