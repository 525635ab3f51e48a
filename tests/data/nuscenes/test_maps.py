"""Map layers: worked cases, the devkit's masks as reference, and errors for missing maps."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation, binary_erosion

from bev.data.nuscenes.classes import LAYERS
from bev.data.nuscenes.maps import MapLayers, read_layers, scene_locations
from bev.errors import DataError
from bev.geometry import BevGrid, covered
from bev.lab.synthetic.writing.map_expansion import expansion_tables

GRID = BevGrid(x=(-30.0, 30.0, 0.25), y=(-20.0, 20.0, 0.25), z=(-1.0, 1.0, 2.0))
CENTER, YAW = (612.3, 1604.8), 0.7


def star(x: float, y: float, reach: float, points: int, turn: float = 0.0):
    """Vertices of a star around (x, y), clockwise."""
    angles = -np.linspace(0, 2 * np.pi, 2 * points, endpoint=False) + turn
    radius = np.where(np.arange(2 * points) % 2, 0.6 * reach, reach)
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], 1).tolist()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data root with a scene in Boston, whose map has holes and polygons that overlap."""
    root = tmp_path_factory.mktemp("maps")
    x, y = CENTER
    polygons = {
        "drivable_area": [
            (star(x + 3, y - 2, 14.0, 7), [star(x + 4, y - 1, 5.0, 5), star(x - 5, y - 4, 1.5, 4)]),
            (star(x - 12, y + 9, 9.0, 5, 0.4), []),
            (star(x + 400, y, 9.0, 5), []),
        ],
        "walkway": [(star(x - 8, y + 2, 11.0, 4), []), (star(x - 2, y - 6, 8.0, 6), [])],
        "ped_crossing": [],
    }
    lines = {
        "road_divider": [[(x - 20, y - 18), (x, y - 3), (x + 22, y + 4)]],
        "lane_divider": [[(x - 25, y + 12), (x - 3, y + 9)], [(x + 2, y - 16), (x + 9, y + 16)]],
    }
    (root / "maps" / "expansion").mkdir(parents=True)
    path = root / "maps" / "expansion" / "boston-seaport.json"
    path.write_text(json.dumps(expansion_tables(polygons, lines)))
    (root / "v1.0-own").mkdir()
    tables = {
        "log": [
            {"token": "l", "location": "boston-seaport"},
            {"token": "m", "location": "nowhere"},
            {"token": "n", "location": "hill"},
        ],
        "scene": [
            {"name": "here", "log_token": "l"},
            {"name": "lost", "log_token": "m"},
            {"name": "up", "log_token": "n"},
            {"name": "bare"},
        ],
    }
    for name, rows in tables.items():
        (root / "v1.0-own" / f"{name}.json").write_text(json.dumps(rows))
    return root


def pose(x: float, y: float, yaw: float, height: float = 0.0) -> torch.Tensor:
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:2, :2] = torch.tensor(
        [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]], dtype=torch.float64
    )
    matrix[:3, 3] = torch.tensor([x, y, height])
    return matrix


def masks(root, layers, where=(*CENTER, YAW), grid=GRID, reach=40.0, width=1.0):
    maps = MapLayers(root, "v1.0-own", layers, width, reach)
    polygons = maps.around("here", pose(*where))
    return covered([polygons], [LAYERS.index(name) for name in layers], grid)[0].numpy()


@pytest.mark.parametrize("layer", ["drivable_area", "walkway"])
def test_polygon_layers_match_the_devkits_masks(root, layer):
    """The devkit rounds polygons to whole pixels, so pixels along the borders may differ."""
    from nuscenes.map_expansion.map_api import NuScenesMap

    expansion = NuScenesMap(str(root), "boston-seaport")
    theirs = expansion.get_map_mask(
        (*CENTER, 40.0, 60.0), math.degrees(YAW), [layer], GRID.shape[1:]
    )[0].astype(bool)
    ours = masks(root, (layer,))[0]
    near = np.ones((5, 5), bool)
    border = binary_dilation(ours, near) & ~binary_erosion(ours, near)
    assert 0.1 < ours.mean() < 0.6
    assert ((ours ^ theirs) & ~border).sum() == 0
    assert (ours ^ theirs).sum() < 0.5 * border.sum()
    # With the opposite yaw the masks differ.
    assert ((masks(root, (layer,), (*CENTER, -YAW))[0] ^ theirs) & ~border).sum() > 500


def test_dividers_are_lines_of_their_width(root):
    """A cell is covered where its centre is within half the width of a line."""
    from shapely import LineString, distance, points

    found = masks(root, ("divider",), width=1.4)[0]
    x, y = CENTER
    lines = [
        LineString([(x - 20, y - 18), (x, y - 3), (x + 22, y + 4)]),
        LineString([(x - 25, y + 12), (x - 3, y + 9)]),
        LineString([(x + 2, y - 16), (x + 9, y + 16)]),
    ]
    turn = pose(*CENTER, YAW)[:2, :2].numpy()
    centers = GRID.centers().numpy() @ turn.T + CENTER
    away = np.min([distance(line, points(centers)) for line in lines], axis=0)
    clear = np.abs(away - 0.7) > 0.02  # round ends consist of straight edges
    assert (found[clear] == (away < 0.7)[clear]).all() and found.sum() > 500


def test_a_worked_street_seen_from_an_ego_vehicle_turned_left(root):
    """A road two metres wide with a hole in it, ahead of an ego vehicle that faces global y."""
    hole = [(98.2, 51.2), (99.2, 51.2), (99.2, 51.8), (98.2, 51.8)]
    street = ([(98, 51), (104, 51), (104, 53), (98, 53)], [hole])
    path = root / "maps" / "expansion" / "hill.json"
    path.write_text(json.dumps(expansion_tables({"drivable_area": [street]}, {})))
    (layer,) = read_layers(path, ("drivable_area",), 1.0)
    assert layer.bounds.tolist() == [[98, 51, 104, 53]] and layer.starts.tolist() == [0, 8]
    maps = MapLayers(root, "v1.0-own", ("drivable_area",), 1.0, 40.0)
    # At (100, 50) and 7 m up a hill; the ego frame's x is global y, its y is global -x.
    polygons = maps.around("up", pose(100, 50, math.pi / 2, 7.0))
    grid = BevGrid(x=(0.0, 4.0, 1.0), y=(-5.0, 3.0, 1.0), z=(0.0, 1.0, 1.0))
    expected = torch.zeros(8, 4, dtype=torch.bool)
    expected[1:7, 1:3] = True  # y from -4 to 2, x from 1 to 3
    expected[6, 1] = False  # the hole: y from 0.8 to 1.8, x from 1.2 to 1.8
    assert torch.equal(covered([polygons], [LAYERS.index("drivable_area")], grid)[0, 0], expected)


def test_maps_follow_bev_augmentation(root):
    from bev.geometry import bev_transform

    layers = ("drivable_area", "divider")
    numbers = [LAYERS.index(name) for name in layers]
    maps = MapLayers(root, "v1.0-own", layers, 1.0, 60.0)
    polygons = maps.around("here", pose(*CENTER, YAW))
    square = BevGrid(x=(-20.0, 20.0, 0.5), y=(-20.0, 20.0, 0.5), z=(-1.0, 1.0, 2.0))
    plain = covered([polygons], numbers, square)[0]
    turned = polygons.transform(bev_transform(math.pi / 2, 1.0, flip_y=True))
    # (x, y) goes to (-y, x), then to (-y, -x): rows and columns change places, both reversed.
    expected = plain.transpose(1, 2).flip(1, 2)
    assert (covered([turned], numbers, square)[0] != expected).float().mean() < 2e-3


def test_only_nearby_polygons_are_returned(root):
    near = MapLayers(root, "v1.0-own", ("drivable_area",), 1.0, 40.0)
    assert len(near.around("here", pose(*CENTER, YAW))) == 14 + 10 + 8 + 10
    assert len(near.around("here", pose(0, 0, 0))) == 0


def test_missing_maps_and_tables_are_named(root, tmp_path):
    maps = MapLayers(root, "v1.0-own", ("drivable_area",), 1.0, 40.0)
    with pytest.raises(
        DataError, match=r"expansion/nowhere\.json is missing; unpack nuScenes' map"
    ):
        maps.read(["here", "lost"])
    with pytest.raises(DataError, match="Scene bare of .* has no log with a location"):
        maps.read(["bare"])
    with pytest.raises(DataError, match=r"none/scene\.json, which is needed"):
        scene_locations(root, "none")
    assert MapLayers(root, "none", (), 1.0, 40.0).around("any", pose(0, 0, 0)).edges.shape[0] == 0
    broken = tmp_path / "broken.json"
    broken.write_text('{"node": [], "polygon": []}')
    with pytest.raises(DataError, match="lacks 'walkway', which layers walkway need"):
        read_layers(broken, ("walkway",), 1.0)
    broken.write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        read_layers(broken, ("divider",), 1.0)
