"""Meaning of the headline figures, for readers of a report."""

from typing import NamedTuple


class Meaning(NamedTuple):
    """Meaning of a figure.

    Attributes:
        text: one sentence; empty if the figure is not known here.
        better: "higher", "lower", or empty if unknown.
        unit: unit, or empty.
    """

    text: str = ""
    better: str = ""
    unit: str = ""


_KNOWN = {
    "mAP": Meaning(
        "Mean average precision: over the classes and over hits within 0.5, 1, 2 and 4 m.",
        "higher",
    ),
    "NDS": Meaning(
        "nuScenes detection score: half mAP, half the five errors, each as 1 - error.", "higher"
    ),
    "mATE": Meaning("Translation error: distance of the centres of hits.", "lower", "m"),
    "mASE": Meaning("Scale error: 1 - IoU of boxes with equal centre and heading.", "lower"),
    "mAOE": Meaning("Orientation error: smallest angle between the headings.", "lower", "rad"),
    "mAVE": Meaning("Velocity error: length of the difference.", "lower", "m/s"),
    "mAAE": Meaning("Attribute error: 1 - share of right attributes.", "lower"),
    "mIoU": Meaning("Mean intersection over union of the segmented layers.", "higher"),
    "depth_abs_rel": Meaning("Mean of |predicted - lidar depth| / lidar depth.", "lower"),
    "depth_rmse": Meaning("Root mean square of predicted - lidar depth.", "lower", "m"),
}


def meaning(figure: str) -> Meaning:
    """Meaning of a figure by its name; intersections over union have names of any layer."""
    if figure not in _KNOWN and figure.lower().startswith("iou"):
        return Meaning("Intersection over union of the layer.", "higher")
    return _KNOWN.get(figure, Meaning())
