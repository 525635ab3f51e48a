"""Layers of nuScenes' map expansion as polygons around the ego vehicle.

Polygons are stored as edges, counter-clockwise for outer borders and clockwise for holes, so
polygons may overlap. For each sample the polygons near the ego vehicle are selected and their edges
transformed to the ego frame. The file format is that of the nuScenes map expansion v1.3; the
devkit's reader is not used, because it needs every layer, supports only four cities and rasterises
to whole pixels.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from shapely import get_parts, make_valid
from shapely.errors import ShapelyError
from shapely.geometry import LineString, Polygon
from torch import Tensor

from bev.data.nuscenes.classes import DIVIDER, LAYERS
from bev.data.storage.remote import present
from bev.errors import DataError, shown
from bev.geometry import Polygons
from bev.paths import file_name
from bev.plain_json import load_json

_DIVIDERS = ("road_divider", "lane_divider")
_ARC = 4  # edges per quarter circle at the round ends of lines


class LayerPolygons(NamedTuple):
    """The P polygons of one layer of one map.

    Attributes:
        edges: (E, 2, 2) from (x, y) to (x, y), metres in the global frame; counter-clockwise around
            a polygon, clockwise around its holes.
        starts: (P + 1,) polygon p has edges ``starts[p]:starts[p + 1]``.
        bounds: (P, 4) minimum x, minimum y, maximum x, maximum y.
    """

    edges: np.ndarray
    starts: np.ndarray
    bounds: np.ndarray

    def near(self, x: float, y: float, reach: float) -> np.ndarray:
        """(N, 2, 2) edges of the polygons whose bounds are within ``reach`` in x and in y."""
        low, high = self.bounds[:, :2], self.bounds[:, 2:]
        chosen = ((low < (x + reach, y + reach)) & (high > (x - reach, y - reach))).all(axis=1)
        return self.edges[np.repeat(chosen, np.diff(self.starts))]


class MapLayers:
    """Map layers of the scenes of a data set.

    Args:
        root: folder of the data set.
        version: nuScenes version, the name of the tables' folder.
        layers: layers of ``bev.data.nuscenes.classes.LAYERS``, without "vehicle".
        line_width: width of dividers, metres.
        reach: metres ahead of, behind and beside the ego vehicle within which polygons are
            complete.

    Raises (also in use):
        DataError: if a map expansion is missing or damaged, or a scene has no location.
    """

    def __init__(
        self,
        root: Path,
        version: str,
        layers: Sequence[str],
        line_width: float,
        reach: float,
    ) -> None:
        self.root, self.layers, self.line_width, self.reach = root, layers, line_width, reach
        self.locations = scene_locations(root, version) if layers else {}

    def read(self, scenes: Iterable[str]) -> None:
        """Read the maps of scenes in advance, so that forked processes share them."""
        for scene in dict.fromkeys(scenes):
            self._layers_of(scene)

    def around(self, scene: str, global_from_ego: Float[Tensor, "4 4"]) -> Polygons:
        """The polygons of all layers around the ego vehicle, in its ego frame."""
        if not self.layers:
            return Polygons.empty()
        pose = global_from_ego.double().numpy()
        ego_from_global, height = np.linalg.inv(pose), pose[2, 3]
        parts = []
        for name, polygons in zip(self.layers, self._layers_of(scene), strict=True):
            edges = polygons.near(pose[0, 3], pose[1, 3], self.reach * 2**0.5)
            x, y = edges[..., 0], edges[..., 1]
            # Maps are flat and lie at the height of the ground below the ego vehicle. Coordinates
            # are computed elementwise, so that the two edges at a corner get identical bits.
            moved = [a * x + b * y + (c * height + d) for a, b, c, d in ego_from_global[:2]]
            in_ego = torch.from_numpy(np.stack(moved, axis=-1)).float()
            parts.append(Polygons.make(in_ego, LAYERS.index(name)))
        return Polygons.cat(parts)

    def _layers_of(self, scene: str) -> tuple[LayerPolygons, ...]:
        if scene not in self.locations:
            raise DataError(
                f"Scene {scene} of {self.root} has no log with a location, so its map is unknown;"
                " remove the map layers from --data.polygons.layers."
            )
        location = self.locations[scene]
        if file_name(location) != location:
            raise DataError(
                f"Scene {scene} of {self.root} has the location {shown(location)}, which is not the"
                " name of a map; correct log.json, or download the tables again."
            )
        path = self.root / "maps" / "expansion" / f"{location}.json"
        return read_layers(path, tuple(self.layers), self.line_width)


def scene_locations(root: Path, version: str) -> dict[str, str]:
    """Location (name of a map) of each scene, by scene name; scenes without one are omitted.

    Raises:
        DataError: if ``scene.json`` or ``log.json`` is missing or damaged.
    """
    rows = {}
    for table in ("scene", "log"):
        path = root / version / f"{table}.json"
        try:
            rows[table] = load_json(present(path).read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(
                f"Table {path}, which is needed for the maps of the scenes, cannot be read"
                f" ({error}); download it again."
            ) from error
    try:
        places = {log["token"]: log.get("location", "") for log in rows["log"]}
        found = {scene["name"]: places.get(scene.get("log_token"), "") for scene in rows["scene"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"Table scene or log in {root / version}, which are needed for the maps of the scenes,"
            f" has a row without token or name ({error!r}); download it again."
        ) from error
    return {name: place for name, place in found.items() if place and isinstance(place, str)}


@cache
def read_layers(
    path: Path, layers: tuple[str, ...], line_width: float
) -> tuple[LayerPolygons, ...]:
    """Read layers of a map expansion as polygons; dividers are lines of ``line_width`` metres.

    Raises:
        DataError: if the file is missing or lacks data of a layer.
    """
    tables = _read(path)
    try:
        nodes = {node["token"]: (node["x"], node["y"]) for node in tables["node"]}
        return tuple(
            _layer(_lines(tables, nodes, line_width))
            if layer == DIVIDER
            else _layer(_polygons(tables, nodes, layer))
            for layer in layers
        )
    except KeyError as error:
        raise DataError(
            f"Map expansion {path} lacks {shown(error.args[0])}, which layers {', '.join(layers)}"
            " need; download its version 1.3 again."
        ) from error
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, ShapelyError) as e:
        raise DataError(
            f"Map expansion {path} is damaged ({' '.join(str(e).split())[:200]}), which layers"
            f" {', '.join(layers)} need; download its version 1.3 again."
        ) from e


def _layer(polygons: Sequence[Polygon]) -> LayerPolygons:
    polygons = [polygon for polygon in polygons if not polygon.is_empty]
    rings = [_edges(polygon) for polygon in polygons]
    return LayerPolygons(
        np.concatenate(rings) if rings else np.zeros((0, 2, 2)),
        np.cumsum([0, *(len(ring) for ring in rings)]),
        np.array([polygon.bounds for polygon in polygons]).reshape(-1, 4),
    )


def _lines(tables: dict, nodes: dict[str, tuple[float, float]], width: float) -> list[Polygon]:
    """Dividers as polygons with round ends."""
    tokens = {line["token"]: line["node_tokens"] for line in tables["line"]}
    ways = [tokens[row["line_token"]] for table in _DIVIDERS for row in tables[table]]
    lines = [LineString([nodes[token] for token in way]) for way in ways if len(way) > 1]
    return [line.buffer(width / 2, quad_segs=_ARC) for line in lines]


def _polygons(tables: dict, nodes: dict[str, tuple[float, float]], layer: str) -> list[Polygon]:
    rows = {polygon["token"]: polygon for polygon in tables["polygon"]}
    polygons = [_polygon(rows[token], nodes) for row in tables[layer] for token in _tokens(row)]
    # A border that crosses itself has no unique orientation.
    valid = [polygon if polygon.is_valid else make_valid(polygon) for polygon in polygons]
    return [part for part in get_parts(get_parts(valid)) if isinstance(part, Polygon)]


def _read(path: Path) -> dict:
    if not present(path).is_file():
        raise DataError(
            f"Map expansion {path} is missing; unpack nuScenes' map expansion (v1.3, from"
            f" https://www.nuscenes.org/nuscenes#download) into {path.parents[1]}, or omit the map"
            " layers: in training with --data.polygons.layers and --model.segmentation.layers, in"
            " evaluation with --data.layers and the remaining layers."
        )
    try:
        tables = load_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(
            f"Map expansion {path} cannot be read ({error}); download it again."
        ) from error
    if not isinstance(tables, dict):
        raise DataError(f"Map expansion {path} is not a mapping of tables; download it again.")
    return tables


def _tokens(row: dict) -> list[str]:
    """Tokens of the polygons of a row; a drivable area has several."""
    return row["polygon_tokens"] if "polygon_tokens" in row else [row["polygon_token"]]


def _polygon(row: dict, nodes: dict[str, tuple[float, float]]) -> Polygon:
    rings = [row["exterior_node_tokens"], *(hole["node_tokens"] for hole in row["holes"])]
    outer, *holes = ([nodes[token] for token in ring] for ring in rings)
    return (
        Polygon(outer, [hole for hole in holes if len(hole) > 2]) if len(outer) > 2 else Polygon()
    )


def _edges(polygon: Polygon) -> np.ndarray:
    """(E, 2, 2) edges, counter-clockwise around the polygon and clockwise around its holes."""
    parts = []
    for number, ring in enumerate((polygon.exterior, *polygon.interiors)):
        points = np.asarray(ring.coords)[:, :2]
        if ring.is_ccw != (number == 0):
            points = points[::-1]
        parts.append(np.stack([points[:-1], points[1:]], axis=1))
    return np.concatenate(parts)
