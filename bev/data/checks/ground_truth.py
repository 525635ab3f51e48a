"""Check of the splits of a data set and of their ground truth: what is used, and what is left out.

It needs sound tables: their columns are joined as for the index, in memory.
"""

from collections.abc import Collection, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from bev.data.checks.annotations import ATTRIBUTE_RULE, refused_attributes, tally_of
from bev.data.checks.findings import Findings, Kind
from bev.data.checks.index_facts import doubts_of
from bev.data.checks.tables import Tables
from bev.data.checks.use import Use
from bev.data.nuscenes.index import Index
from bev.data.nuscenes.index_build import join
from bev.data.nuscenes.polygons import PolygonReader
from bev.data.nuscenes.splits import (
    SPLITS_FILE,
    official_splits,
    own_splits,
    scenes_of_split,
    split_rows,
    unknown_scenes,
)
from bev.errors import ConfigError, DataError

SPLITS_DAMAGED = Kind(
    f"{SPLITS_FILE} that cannot be read", "Correct it, or remove it to use official splits."
)
NOT_JOINED = Kind("tables that cannot be joined", "Training stops with the same sentence.")
UNKNOWN_SCENES = Kind(
    f"{SPLITS_FILE} with scenes that scene.json does not contain",
    "Correct the names; training uses the other scenes of the split.",
    is_error=False,
)
EMPTY_SPLIT = Kind("split without a sample", "Correct the names of its scenes, or remove it.")
UNUSABLE_SPLIT = Kind(
    "split in use that cannot be read",
    "A run stops with the same sentence; correct data.train_split, data.val_split or data.fold.",
)
UNUSABLE_POLYGONS = Kind(
    "map that cannot be read", "A run stops with the same sentence (data.polygons.layers)."
)
COMMON_SCENES = Kind(
    "splits with common scenes",
    "Training on one and validating on the other does not measure generalisation.",
    is_error=False,
)
NO_USABLE_BOX = Kind(
    "split without a box to train on", "A model of boxes cannot be trained or scored on it."
)
NO_GROUND_TRUTH = Kind(
    "split without ground truth", "It can be predicted, but not scored.", is_error=False
)
REFUSED = Kind("attributes that the official metrics refuse", f"T{ATTRIBUTE_RULE[1:]}.")


def check_ground_truth(
    folder: Path,
    tables: Tables,
    cameras: Sequence[str],
    min_points: int,
    use: Use,
    findings: Findings,
) -> list[str]:
    """Check the splits of a version, the boxes of each, and whether values are plausible.

    Args:
        folder: the version's folder.
        tables: its tables, after ``check_tables``.
        cameras: names of the cameras in use; empty for all.
        min_points: minimum number of lidar and radar points of boxes in training.
        use: what a config uses of the data: its splits are compared, and their maps are read.
        findings: receives the findings.

    Returns:
        A line for each split with its counts; empty if the tables are damaged.
    """
    try:
        own = own_splits(folder)
    except DataError as error:
        findings.add(SPLITS_DAMAGED, [str(error)])
        own = {}
    if len(tables.whole) < len(tables.columns):
        return []
    columns = {table: dict(names) for table, names in tables.columns.items()}
    try:
        join(folder, columns)
    except DataError as error:
        if not findings.count(is_error=True):
            findings.add(NOT_JOINED, [str(error)])
        return []
    index = Index.in_memory(columns, folder)
    everything = np.arange(len(index.sample.timestamp))
    findings.extend(doubts_of(index, everything, cameras or None))
    if refused := refused_attributes(index, everything):
        findings.add(REFUSED, (f"{name}: {count} boxes" for name, count in refused.items()))
    lines = _check_splits(index, own, min_points, findings)
    _check_use(index, own, use, findings)
    return lines


def common_scenes(splits: Sequence[str], common: Collection[str], findings: Findings) -> None:
    """Add a finding if two splits have common scenes."""
    if common:
        text = f"{' and '.join(splits)}: {len(common)} scenes ({', '.join(sorted(common))})"
        findings.add(COMMON_SCENES, [text])


def _check_use(index: Index, own: dict[str, list[str]], use: Use, findings: Findings) -> None:
    """Check the splits in use; those of ``splits.json`` have been compared with one another."""
    scenes: list[set[str]] = []
    for split in use.splits:
        try:
            rows = np.unique(index.sample.scene[split_rows(index, split)])
            scenes.append({name.decode() for name in index.scene.name[rows]})
        except (ConfigError, DataError) as error:
            findings.add(UNUSABLE_SPLIT, [f"{split}: {error}"])
    splits = use.splits
    if len(scenes) == 2 and not (set(splits) <= set(own) and splits[0] != splits[1]):
        common_scenes(splits, scenes[0] & scenes[1], findings)
    try:
        maps = PolygonReader(use.polygons, index.root, index.version, scenes=()).maps
    except DataError as error:
        findings.add(UNUSABLE_POLYGONS, [str(error)])
        return
    # One scene of each map, and one of those without any.
    of_map = {maps.locations.get(scene): scene for scene in sorted(set().union(*scenes))}
    for scene in of_map.values() if maps.layers else ():
        try:
            maps.read([scene])
        except DataError as error:
            findings.add(UNUSABLE_POLYGONS, [str(error)])


def _check_splits(
    index: Index, own: dict[str, list[str]], min_points: int, findings: Findings
) -> list[str]:
    """Check each split; returns a line for each."""
    lines: list[str] = []
    covered: set[str] = set()
    is_test_set = not (len(index.sample_annotation.category) or index.sample.invalid_boxes.any())
    for split in [*official_splits(index.version), *own]:
        if unknown := unknown_scenes(index, own.get(split, [])):
            of = f"{len(unknown)} of {len(own[split])} scenes ({', '.join(unknown)})"
            findings.add(UNKNOWN_SCENES, [f"{split}: {of}"])
        try:
            rows = split_rows(index, split)
        except DataError as error:
            if split in own:
                findings.add(EMPTY_SPLIT, [f"{split}: {error}"])
            continue
        covered |= scenes_of_split(index.root, index.version, split)
        tally = tally_of(index, rows, min_points)
        lines.append(f"  {split}: {tally.text()}")
        if not tally.num_boxes and not is_test_set:
            findings.add(NO_GROUND_TRUTH, [f"{split}: {len(rows)} samples"])
        elif tally.num_boxes and not tally.num_used:
            findings.add(NO_USABLE_BOX, [f"{split}: {tally.why_none()}"])
    for one, other in combinations(own, 2):
        common_scenes((one, other), set(own[one]) & set(own[other]), findings)
    names = {name.decode() for name in index.scene.name}
    if left := sorted(names - covered):
        rows = np.flatnonzero(np.isin(index.scene.name, [name.encode() for name in left]))
        samples = np.flatnonzero(np.isin(index.sample.scene, rows))
        lines.append(f"  in no split: {tally_of(index, samples, min_points).text()}")
    return lines
