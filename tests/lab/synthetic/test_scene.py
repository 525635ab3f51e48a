"""Scenes are plausible: actors do not overlap, attributes fit, shapes fill their boxes."""

import numpy as np
import pytest
from shapely.geometry import Polygon

from bev.data.nuscenes.classes import CLASS_RANGE
from bev.lab.synthetic import PRESETS
from bev.lab.synthetic.objects.cycles import make_bicycle, make_motorcycle
from bev.lab.synthetic.objects.machines import make_construction_vehicle
from bev.lab.synthetic.objects.palette import VEHICLE_BODY
from bev.lab.synthetic.objects.people import make_pedestrian
from bev.lab.synthetic.objects.street import make_barrier, make_traffic_cone
from bev.lab.synthetic.objects.vehicles import make_bus, make_car, make_trailer, make_truck
from bev.lab.synthetic.rig import make_rig
from bev.lab.synthetic.scene.scene import make_scene
from bev.lab.synthetic.visibility.items import items_at

# Typical length, width, height of the real classes, metres.
MAKERS = {
    "car": (make_car, (4.6, 1.95, 1.7)),
    "truck": (make_truck, (7.0, 2.5, 2.9)),
    "bus": (make_bus, (11.2, 2.9, 3.5)),
    "trailer": (make_trailer, (12.0, 2.9, 3.9)),
    "construction_vehicle": (make_construction_vehicle, (6.4, 2.8, 3.2)),
    "pedestrian": (lambda rng: make_pedestrian(rng, "moving"), (0.73, 0.67, 1.77)),
    "motorcycle": (lambda rng: make_motorcycle(rng, True), (2.1, 0.77, 1.47)),
    "bicycle": (lambda rng: make_bicycle(rng, False), (1.7, 0.6, 1.3)),
    "traffic_cone": (make_traffic_cone, (0.41, 0.41, 1.07)),
    "barrier": (make_barrier, (0.6, 2.1, 1.0)),
}


@pytest.mark.parametrize("label", MAKERS)
def test_shapes_are_convex_solids_that_fill_their_box(label):
    make, typical = MAKERS[label]
    sizes = []
    for seed in range(12):
        shape = make(np.random.default_rng(seed))
        sizes.append(shape.size)
        half = 0.5 * np.array(shape.size)
        low, high = shape.points.min(0), shape.points.max(0)
        assert (low >= [-half[0], -half[1], 0]).all() and (high <= half * [1, 1, 2]).all()
        assert ((high - low) > np.array(shape.size) - 0.07).all()
        for i in range(len(shape.solid_points) - 1):
            points = shape.points[shape.solid_points[i] : shape.solid_points[i + 1]]
            planes = shape.planes[shape.solid_planes[i] : shape.solid_planes[i + 1]]
            assert (points @ planes[:, :3].T + planes[:, 3]).max() < 1e-9
    ratio = np.mean(sizes, axis=0) / typical
    assert (ratio > 0.7).all() and (ratio < 1.4).all(), ratio
    assert np.ptp(sizes, axis=0).max() > 0.02


@pytest.mark.parametrize("index", [0, 3, 8])
def test_no_two_actors_ever_overlap(index):
    config = PRESETS["default"]
    scene = make_scene(config.scene_keys()[index], config)
    for time in np.linspace(0.0, 4.5, 7):
        items = items_at(scene.actors, [], float(time))
        # Corners 0, 2, 6, 4 of the sign order (x, y, z) walk round the bottom.
        ground = [Polygon(corners[[0, 2, 6, 4], :2]) for corners in items.corners()]
        for a in range(len(ground)):
            for b in range(a):
                assert not ground[a].intersects(ground[b])


def test_attributes_fit_the_motion():
    config = PRESETS["default"]
    seen = set()
    for key in config.scene_keys()[:5]:
        for actor in make_scene(key, config).actors:
            kind, moves = actor.attribute.partition("."), actor.motion.speed > 0
            seen.add(actor.attribute)
            if actor.label in ("traffic_cone", "barrier"):
                assert actor.attribute == "" and not moves
            elif actor.label in ("motorcycle", "bicycle"):
                assert kind[0] == "cycle" and (kind[2] == "with_rider" or not moves)
            elif actor.label == "pedestrian":
                assert kind[0] == "pedestrian" and (kind[2] == "moving") == moves
            else:
                assert kind[0] == "vehicle" and (kind[2] == "moving") == moves
    assert len(seen) == 9


def test_vehicle_bodies_share_one_palette():
    """Face colours of each vehicle class are near most colours of the palette."""
    palette = np.array(VEHICLE_BODY)
    for label in ("car", "truck", "bus", "trailer", "construction_vehicle"):
        used = set()
        for seed in range(60):
            shape = MAKERS[label][0](np.random.default_rng(seed))
            faces = shape.colours[shape.polygon_table[:, 1] == 1, :3]
            gap = np.abs(faces[:, None] - palette).max(-1)
            used |= set(np.argwhere(gap < 12)[:, 1])
        assert len(used) >= 7, label


def test_rigs_differ_between_scenes_but_stay_near_the_real_ones():
    first, second = (make_rig(np.random.default_rng(seed), 1600) for seed in (0, 1))
    for name, mount in first.mounts.items():
        turn = np.abs(np.dot(mount.rotation, second.mounts[name].rotation))
        assert 2 * np.degrees(np.arccos(min(1.0, turn))) < 6.0
        assert np.abs(mount.translation - second.mounts[name].translation).max() < 0.15
        if mount.intrinsic is not None:
            assert not np.array_equal(mount.intrinsic, second.mounts[name].intrinsic)
            focal = 805 if name == "CAM_BACK" else 1260
            assert abs(mount.intrinsic[0, 0] / focal - 1) < 0.03


def test_intrinsics_scale_with_the_image():
    full, half = (make_rig(np.random.default_rng(2), width) for width in (1600, 800))
    for a, b in zip(full.cameras, half.cameras, strict=True):
        np.testing.assert_allclose(0.5 * a.intrinsic[:2], b.intrinsic[:2])


def test_every_class_has_a_range():
    assert set(CLASS_RANGE) == set(MAKERS)
