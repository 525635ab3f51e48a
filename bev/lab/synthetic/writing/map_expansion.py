"""Map expansion of a synthetic street, in the format of nuScenes (v1.3).

The expansion contains the layers that ``ground`` paints: drivable areas, lane and road dividers,
pavements, pedestrian crossings and car parks. The tables that only planning needs (lanes and their
paths, traffic lights) are empty.
"""

from collections.abc import Sequence

import numpy as np

from bev.lab.synthetic.scene.road import Road

_LEAST = 200.0  # least length of street ahead of and behind the start, metres
_AHEAD = 130.0  # least length of street ahead of the last key frame, metres
_STEP = 3.0  # distance between two points of a curve, metres
_EMPTY = (
    "road_segment", "road_block", "lane", "lane_connector", "stop_line", "traffic_light",
)  # fmt: skip

Ring = Sequence[Sequence[float]]
Polygon = tuple[Ring, Sequence[Ring]]
"""Outer ring and holes of a polygon, points (x, y) in the global frame, metres."""


def expansion_tables(
    polygons: dict[str, Sequence[Polygon]],
    lines: dict[str, Sequence[Ring]],
    edge: tuple[float, float] = (2000.0, 2000.0),
) -> dict:
    """Content of ``maps/expansion/<location>.json``.

    Args:
        polygons: polygons by layer; those of the drivable area become one row, as in nuScenes.
        lines: lines of the layers road_divider and lane_divider.
        edge: width and height of the map, metres.
    """
    tables: dict[str, list[dict]] = {name: [] for name in ("node", "line", "polygon", *_EMPTY)}

    def nodes(points: Ring) -> list[str]:
        first = len(tables["node"])
        tokens = [f"node-{first + i}" for i in range(len(points))]
        pairs = zip(tokens, points, strict=True)
        tables["node"] += [{"token": t, "x": float(x), "y": float(y)} for t, (x, y) in pairs]
        return tokens

    def add_polygon(polygon: Polygon) -> str:
        outer, holes = polygon
        token = f"polygon-{len(tables['polygon'])}"
        row = {
            "token": token,
            "exterior_node_tokens": nodes(outer),
            "holes": [{"node_tokens": nodes(hole)} for hole in holes],
        }
        tables["polygon"].append(row)
        return token

    def add_line(points: Ring) -> str:
        token = f"line-{len(tables['line'])}"
        tables["line"].append({"token": token, "node_tokens": nodes(points)})
        return token

    for layer in ("drivable_area", "ped_crossing", "walkway", "carpark_area"):
        tokens = [add_polygon(polygon) for polygon in polygons.get(layer, ())]
        if layer == "drivable_area":
            tables[layer] = [{"token": layer, "polygon_tokens": tokens}]
        else:
            tables[layer] = [
                {"token": f"{layer}-{i}", "polygon_token": t} for i, t in enumerate(tokens)
            ]
    for layer in ("road_divider", "lane_divider"):
        tokens = [add_line(points) for points in lines.get(layer, ())]
        tables[layer] = [{"token": f"{layer}-{i}", "line_token": t} for i, t in enumerate(tokens)]
    return {
        "version": "1.3",
        "canvas_edge": list(edge),
        **tables,
        "arcline_path_3": {},
        "connectivity": {},
    }


def street_tables(road: Road, lots: Sequence[tuple[float, float, float]], travel: float) -> dict:
    """Map expansion of one street.

    Args:
        road: the street.
        lots: car parks (s low, s high, side).
        travel: distance that the ego vehicle drives along the street, metres.
    """
    reach = max(_LEAST, travel + _AHEAD)
    low, high = -reach, reach
    half, edge = road.crossing_half_width, road.lanes * road.lane_width
    drivable = [_strip(road, low, high, -road.kerb, road.kerb)]
    between, beside, crossings = [(low, high)], [(low, high)], []
    if road.crossing is not None:
        drivable.append(_across(road, low, high, 1.0 - half, half - 1.0))
        between = _without(low, high, road.crossing, half + 3.2)
        beside = _without(low, high, road.crossing, half - 1.0)
        for arm in (-1.0, 1.0):
            middle = road.crossing + arm * (half + 1.5)
            crossings.append(_strip(road, middle - 1.3, middle + 1.3, -road.kerb, road.kerb))
    parks = [
        _strip(road, a, b, *sorted((side * road.kerb, side * (road.plots + 18.0))))
        for a, b, side in lots
    ]
    offsets = [side * lane * road.lane_width for side in (-1, 1) for lane in range(1, road.lanes)]
    offsets += [side * t for side in (-1, 1) for t in (edge, edge + road.bike_width)]
    return expansion_tables(
        {
            "drivable_area": [(ring, ()) for ring in drivable],
            "ped_crossing": [(ring, ()) for ring in crossings],
            "walkway": [
                (_strip(road, a, b, *sorted((side * road.kerb, side * road.plots))), ())
                for a, b in beside
                for side in (-1.0, 1.0)
            ],
            "carpark_area": [(ring, ()) for ring in parks],
        },
        {
            "road_divider": [_way(road, a, b, 0.0) for a, b in between],
            "lane_divider": [_way(road, a, b, t) for a, b in between for t in offsets],
        },
    )


def _without(low: float, high: float, middle: float, half: float) -> list[tuple[float, float]]:
    """Two parts of low..high that remain without middle - half..middle + half."""
    return [(low, middle - half), (middle + half, high)]


def _way(road: Road, s0: float, s1: float, t: float) -> list[tuple[float, float]]:
    s = np.linspace(s0, s1, max(2, int(abs(s1 - s0) / _STEP) + 2))
    x, y, _ = road.pose(s, np.full_like(s, t))
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _strip(road: Road, s0: float, s1: float, t0: float, t1: float) -> list[tuple[float, float]]:
    return _way(road, s0, s1, t0) + _way(road, s0, s1, t1)[::-1]


def _across(road: Road, u0: float, u1: float, v0: float, v1: float) -> list[tuple[float, float]]:
    corners = ((u0, v0), (u1, v0), (u1, v1), (u0, v1))
    return [road.crossing_pose(u, v)[:2] for u, v in corners]
