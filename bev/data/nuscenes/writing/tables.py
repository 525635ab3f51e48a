"""Rows that all data in nuScenes' format share, and the files of the tables.

Tokens are hashes of names, so the same data have the same tokens.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

TABLES = (
    "attribute",
    "calibrated_sensor",
    "category",
    "ego_pose",
    "instance",
    "log",
    "map",
    "sample",
    "sample_annotation",
    "sample_data",
    "scene",
    "sensor",
    "visibility",
)
CATEGORIES = {
    "car": "vehicle.car",
    "truck": "vehicle.truck",
    "bus": "vehicle.bus.rigid",
    "trailer": "vehicle.trailer",
    "construction_vehicle": "vehicle.construction",
    "pedestrian": "human.pedestrian.adult",
    "motorcycle": "vehicle.motorcycle",
    "bicycle": "vehicle.bicycle",
    "traffic_cone": "movable_object.trafficcone",
    "barrier": "movable_object.barrier",
}
"""Category that is written for each detection class."""

_LEVELS = (("1", "v0-40"), ("2", "v40-60"), ("3", "v60-80"), ("4", "v80-100"))


def token(*parts: object) -> str:
    """Token of 32 digits, a hash of its parts."""
    return hashlib.md5("/".join(map(str, parts)).encode()).hexdigest()


def links(tokens: Sequence[str], place: int) -> dict[str, str]:
    """Fields ``prev`` and ``next`` of a row, by the tokens of its chain."""
    last = len(tokens) - 1
    return {
        "prev": tokens[place - 1] if place else "",
        "next": tokens[place + 1] if place < last else "",
    }


def shared_rows(
    categories: Iterable[str],
    attributes: Iterable[str],
    sensors: Mapping[str, str],
    description: str = "",
) -> dict[str, list[dict]]:
    """Rows of the tables that no scene changes.

    Args:
        categories, attributes: names.
        sensors: modality of each channel, "camera" or "lidar".
        description: description of categories and attributes.
    """
    return {
        "attribute": [
            {"token": token("attribute", name), "name": name, "description": description}
            for name in attributes
        ],
        "category": [
            {"token": token("category", name), "name": name, "description": description}
            for name in categories
        ],
        "visibility": [
            {
                "token": key,
                "level": level,
                "description": f"Share of pixels in view: {level[1:]} %.",
            }
            for key, level in _LEVELS
        ],
        "sensor": [
            {"token": token("sensor", name), "channel": name, "modality": modality}
            for name, modality in sensors.items()
        ],
    }


def place_rows(
    tokens: tuple[str, str], name: str, location: str, vehicle: str, date: str, map_file: str
) -> dict[str, list[dict]]:
    """Rows of a log and of its map.

    Args:
        tokens: tokens of the log and of the map.
        name: name of the log file.
        location: name of the place.
        vehicle: name of the vehicle.
        date: date, YYYY-MM-DD.
        map_file: image of the map, below the data root.
    """
    log, own_map = tokens
    row = {"token": log, "logfile": name, "vehicle": vehicle, "date_captured": date}
    drawn = {"category": "semantic_prior", "filename": map_file, "log_tokens": [log]}
    return {
        "log": [row | {"location": location}],
        "map": [{"token": own_map} | drawn],
    }


def write_tables(
    folder: Path, parts: Iterable[Mapping[str, list[dict]]], splits: Mapping[str, list[str]]
) -> None:
    """Write the 13 tables and ``splits.json`` into the existing folder of a version.

    Args:
        folder: folder of the version.
        parts: rows by table, joined in their order.
        splits: names of the scenes of each split.
    """
    tables: dict[str, list[Any]] = {name: [] for name in TABLES}
    for rows in parts:
        for name, entries in rows.items():
            tables[name] += entries
    for name, entries in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(entries))
    (folder / "splits.json").write_text(json.dumps(splits, indent=1))


def write_map_mask(path: Path) -> None:
    """Write an image of a map without content, which the devkit opens with the tables."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (64, 64), 255).save(path)
