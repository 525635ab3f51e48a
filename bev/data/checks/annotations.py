"""Counts of annotated boxes: used in training, left out by rule, refused by the metrics."""

from collections import Counter

import numpy as np
from jaxtyping import Int

from bev.data.checks.tally import LeftOut, Tally, listed, too_few_points
from bev.data.nuscenes.classes import ATTRIBUTES, CLASSES
from bev.data.nuscenes.index import Index
from bev.errors import DataError, NoGroundTruthError

ATTRIBUTE_RULE = (  # a sentence's second half
    "the official metrics allow at most one attribute for a box, one of"
    f" {', '.join(ATTRIBUTES)}; map them to these in attribute.json, or leave attribute_tokens"
    " empty"
)


def tally_of(index: Index, samples: Int[np.ndarray, " n"], min_points: int) -> Tally:
    """Count the boxes of some samples.

    Args:
        index: opened data set.
        samples: rows of ``sample``.
        min_points: minimum number of lidar and radar points of boxes in training.
    """
    table = index.sample_annotation
    _, rows = index.annotations_of(samples)
    category = table.category[rows]
    label = index.class_of_category[category]
    points = index.num_points(rows)
    known, enough = label >= 0, points >= min_points
    names = [name.decode() for name in index.category.name]
    others = Counter(names[one] for one in category[~known].tolist())
    few = points[known & ~enough]
    rules = [
        LeftOut(
            int((~known).sum()),
            f"of categories without a class ({listed(dict(others.most_common()))})",
            "rename categories to those of nuScenes (vehicle.car, human.pedestrian.adult, …)",
        ),
        too_few_points(few, min_points),
        LeftOut(
            int(index.sample.invalid_boxes[samples].sum()),
            "without a size above 0 or with a number that is not finite",
            "correct their rows",
        ),
    ]
    labels = (CLASSES[one] for one in label[known & enough].tolist())
    scenes = len(np.unique(index.sample.scene[samples]))
    return Tally.make(scenes, len(samples), labels, rules)


def check_scorable(
    index: Index, samples: Int[np.ndarray, " n"], name: str, results: str = "the results file"
) -> None:
    """Check that the official metrics can score the boxes of some samples.

    Boxes without points do not count; a negative number of points (unknown) does, as in the devkit.

    Args:
        index: opened data set.
        samples: rows of ``sample``.
        name: description of the samples, for messages.
        results: name of the file with the predicted boxes.

    Raises:
        NoGroundTruthError: if no box counts.
        DataError: if the metrics refuse the attributes of a box.
    """
    table, where = index.sample_annotation, index.root / index.version
    _, rows = index.annotations_of(samples)
    if not len(rows) and not index.sample.invalid_boxes[samples].any():
        raise NoGroundTruthError(
            f"The {len(samples)} samples of {name} have no annotations in {where}, so boxes cannot"
            f" be scored; name a split with annotations, or upload {results} to the benchmark's"
            " server."
        )
    points = index.num_points(rows)
    if not ((index.class_of_category[table.category[rows]] >= 0) & (points != 0)).any():
        reasons = tally_of(index, samples, 1).why_none()
        raise NoGroundTruthError(f"No box of {name} in {where} counts in the metrics: {reasons}.")
    if refused := refused_attributes(index, samples):
        raise DataError(
            f"{name[:1].upper()}{name[1:]} in {where} has boxes that the official metrics refuse"
            f" ({listed(refused)}): {ATTRIBUTE_RULE}."
        )


def refused_attributes(index: Index, samples: Int[np.ndarray, " n"]) -> dict[str, int]:
    """Number of boxes whose attributes the official metrics refuse, by the fault."""
    table = index.sample_annotation
    _, rows = index.annotations_of(samples)
    rows = rows[index.class_of_category[table.category[rows]] >= 0]
    attribute, several = table.attribute[rows], table.attribute_count[rows] > 1
    names = [name.decode() for name in index.attribute.name]
    # NO_ROW selects the last.
    foreign = np.array([*(bool(name) and name not in ATTRIBUTES for name in names), False])
    unknown = attribute[foreign[attribute] & ~several].tolist()
    found = dict(Counter(repr(names[one]) for one in unknown).most_common())
    return {**found, "several attributes": int(several.sum())} if several.any() else found
