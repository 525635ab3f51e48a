"""Images that moments by time leave out, or take for moments of their own."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from bev.data.checks.findings import Findings, Kind
from bev.data.rig.moments import GroupedImages, grouped_images, reach
from bev.data.rig.rig import Rig

UNUSED = Kind(
    "image that no moment uses",
    "Another image of its camera is nearer in time to that of the first camera, or no image of the"
    " first camera is near; remove it, unless the camera takes more images than the first one.",
    is_error=False,
)
DOUBLED = Kind(
    "two images of the first camera at less than half its usual interval",
    "Both are moments, and images of other cameras belong to the nearer one; remove one of the two,"
    " unless the camera takes images irregularly.",
    is_error=False,
)


def check_moments(rig: Rig, folder: Path, root: Path) -> Findings:
    """Findings on images whose times leave open which moment they belong to.

    Args:
        rig: cameras with patterns of their images.
        folder: folder of the images.
        root: folder that the names in the findings are relative to.

    Raises:
        DataError: if the images form no moments, see :func:`bev.data.rig.moments.find_moments`.
    """
    findings = Findings()
    for one in grouped_images(rig, folder, missing="skip"):
        if one.by_time:
            _check_unused(one, root, findings)
            _check_doubled(one, root, findings)
    return findings


def _check_unused(images: GroupedImages, root: Path, findings: Findings) -> None:
    used = {image.path for _, group in images.moments for image in group.values()}
    for camera, found in images.found.items():
        lost = sorted(image.path for image in found if image.path not in used)
        findings.add(UNUSED, (f"{camera}: {path.relative_to(root)}" for path in lost))


def _check_doubled(images: GroupedImages, root: Path, findings: Findings) -> None:
    firsts = [next(iter(group.items())) for _, group in images.moments]
    times = np.array([image.time for _, image in firsts], np.int64)
    near = np.diff(times) < reach(times)
    for ((camera, one), (_, other)), is_near, apart in zip(
        pairwise(firsts), near, np.diff(times), strict=True
    ):
        if is_near:
            names = [image.path.relative_to(root) for image in (one, other)]
            findings.add(DOUBLED, [f"{camera}: {names[0]} and {names[1]}, {apart * 1e-6:.3g} s"])
