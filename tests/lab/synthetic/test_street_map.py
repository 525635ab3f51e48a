"""The map of the street is at least as long as the path of the ego vehicle."""

from dataclasses import replace

import numpy as np
import pytest
from shapely.geometry import Point, Polygon

from bev.lab.synthetic import PRESETS
from bev.lab.synthetic.scene.scene import make_scene
from bev.lab.synthetic.writing.map_expansion import street_tables


def drivable(tables: dict) -> list[Polygon]:
    places = {node["token"]: (node["x"], node["y"]) for node in tables["node"]}
    tokens = tables["drivable_area"][0]["polygon_tokens"]
    rings = {row["token"]: row["exterior_node_tokens"] for row in tables["polygon"]}
    return [Polygon([places[node] for node in rings[token]]).buffer(0) for token in tokens]


@pytest.mark.slow
@pytest.mark.parametrize("frames", [4, 80])
def test_a_camera_never_sees_the_end_of_the_street(frames):
    config = replace(PRESETS["tiny"], train_scenes=2, val_scenes=1, frames_per_scene=frames)
    scenes = [make_scene(key, config) for key in config.scene_keys()]
    farthest = max(scenes, key=lambda scene: scene.travel)
    street = drivable(street_tables(farthest.road, farthest.lots, farthest.travel))[0]
    for distance in np.linspace(-100.0, farthest.travel + 100.0, 20):
        x, y, _ = farthest.road.pose(distance, 0.0)
        assert street.contains(Point(float(x), float(y)))
    assert frames < 80 or farthest.travel > 200
