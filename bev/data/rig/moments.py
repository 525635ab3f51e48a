"""Moments: which images of different cameras belong together, and their times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bev.data.rig.patterns import FoundImage, find_images, natural
from bev.data.rig.rig import Rig
from bev.data.rig.rows import read_rows
from bev.errors import DataError

_ALONE = 250_000  # microseconds within which images of a single moment lie


@dataclass(frozen=True)
class Moment:
    """Images that belong together.

    Attributes:
        sequence: name of the sequence; empty without sequences.
        name: what names the moment in the files' names; empty if each camera has one file.
        images: image of each camera, in the order of the rig.
        times: time of each image, microseconds; empty if unknown.
    """

    sequence: str
    name: str
    images: Mapping[str, Path]
    times: Mapping[str, int]

    def __str__(self) -> str:
        of = f" of sequence {self.sequence}" if self.sequence else ""
        return f"moment {self.name or 'without a name'}{of}"


@dataclass(frozen=True)
class Times:
    """Times of images, microseconds, by file below the folder of the images or by moment."""

    path: Path
    by_image: Mapping[str, int]
    by_moment: Mapping[tuple[str, str], int]


def read_times(path: Path) -> Times:
    """Read a table with a time (seconds, …) for each ``image`` or ``moment`` (of a ``sequence``).

    Raises:
        DataError: if the file cannot be read or a row is incomplete.
    """
    by_image: dict[str, int] = {}
    by_moment: dict[tuple[str, str], int] = {}
    for row in read_rows(path, "Times"):
        time, image, moment = row.time(), row.text("image"), row.text("moment")
        if time is None or not (image or moment):
            raise DataError(
                f"{row.where} needs a column image or moment, and one of seconds, milliseconds,"
                " microseconds and nanoseconds."
            )
        key = (row.text("sequence"), moment)
        if image in by_image or not image and key in by_moment:
            raise DataError(f"{row.where} has {image or moment} again; remove one of the rows.")
        if image:
            by_image[image] = time
        else:
            by_moment[key] = time
    return Times(path, by_image, by_moment)


def find_moments(
    rig: Rig,
    folder: Path,
    times: Times | None = None,
    missing: Literal["error", "skip"] = "error",
) -> list[Moment]:
    """Moments of a folder of images, by sequence and in order of time or name.

    Args:
        rig: cameras with patterns of their images.
        folder: folder of the images.
        times: times of the images, if their names do not contain them.
        missing: "skip" leaves a missing camera out of a moment; otherwise it is an error.

    Raises:
        DataError: names the camera, and the moment or the folder.
    """
    if not folder.is_dir():
        raise DataError(f"The folder of the images {folder} does not exist; name an existing one.")
    found: dict[str, list[FoundImage]] = {}
    for camera in rig.cameras:
        found[camera.name] = find_images(camera.images, folder)
        if not found[camera.name] and missing == "error":
            raise DataError(
                f"Camera {camera.name} has no image: {camera.images} matches no image file in"
                f" {folder}; correct its images in the rig."
            )
    if not any(found.values()):
        raise DataError(f"No camera of the rig has an image in {folder}; correct its images.")
    sequences = {image.sequence for images in found.values() for image in images}
    moments = []
    for sequence in sorted(sequences, key=natural):
        own = {
            name: [image for image in images if image.sequence == sequence]
            for name, images in found.items()
        }
        grouped = _by_name(own) if _named(own) else _by_time(own)
        of_sequence = [
            _moment(rig, sequence, name, images, folder, times) for name, images in grouped
        ]
        for moment in of_sequence:
            _check_complete(moment, rig, folder, missing)
        moments += _in_order(of_sequence)
    return moments


def _named(found: Mapping[str, Sequence[FoundImage]]) -> bool:
    """True if images belong together by names, false if by their times."""
    images = [image for several in found.values() for image in several]
    return any(image.moment for image in images) or any(image.time is None for image in images)


def _by_name(
    found: Mapping[str, Sequence[FoundImage]],
) -> list[tuple[str, dict[str, FoundImage]]]:
    groups: dict[str, dict[str, FoundImage]] = {}
    for camera, images in found.items():
        for image in images:
            group = groups.setdefault(image.moment, {})
            if camera in group:
                raise DataError(
                    f"Camera {camera} has two images of moment {image.moment}:"
                    f" {group[camera].path} and {image.path}; remove one, or write a pattern that"
                    " one of them matches."
                )
            group[camera] = image
    return sorted(groups.items(), key=lambda item: natural(item[0]))


def _by_time(
    found: Mapping[str, Sequence[FoundImage]],
) -> list[tuple[str, dict[str, FoundImage]]]:
    """Each image of the first camera, with those of the others that are nearest in time."""
    cameras = {name: images for name, images in found.items() if images}
    anchor, *others = cameras
    firsts = sorted(cameras[anchor], key=lambda image: image.time or 0)
    at = np.array([image.time for image in firsts], np.int64)
    within = float(np.median(np.diff(at))) / 2 if len(at) > 1 else _ALONE
    groups = [(str(image.time), {anchor: image}) for image in firsts]
    for name in others:
        for image in cameras[name]:
            place = int(np.abs(at - (image.time or 0)).argmin())
            away, group = abs(int(at[place]) - (image.time or 0)), groups[place][1]
            known = group.get(name)
            nearer = known is None or away < abs(int(at[place]) - (known.time or 0))
            if away <= within and nearer:
                group[name] = image
    return groups


def _moment(
    rig: Rig,
    sequence: str,
    name: str,
    images: Mapping[str, FoundImage],
    folder: Path,
    times: Times | None,
) -> Moment:
    ordered = {camera: images[camera] for camera in rig.names if camera in images}
    paths = {camera: image.path for camera, image in ordered.items()}
    known = {camera: _time(image, folder, times) for camera, image in ordered.items()}
    given = {camera: time for camera, time in known.items() if time is not None}
    if given and len(given) < len(known):
        lacks = next(camera for camera, time in known.items() if time is None)
        raise DataError(
            f"Camera {lacks} has no time for image {paths[lacks]}, but other cameras have one; add"
            " it to the times."
        )
    return Moment(sequence, name, paths, given)


def _time(image: FoundImage, folder: Path, times: Times | None) -> int | None:
    if times is None:
        return image.time
    below = image.path.relative_to(folder).as_posix()
    keys = ((image.sequence, image.moment), ("", image.moment))
    found = times.by_image.get(below)
    found = next((times.by_moment[key] for key in keys if key in times.by_moment), found)
    if found is None:
        raise DataError(f"Times {times.path} have no row for image {below}; add it.")
    return found


def _check_complete(moment: Moment, rig: Rig, folder: Path, missing: str) -> None:
    lost = [camera for camera in rig.cameras if camera.name not in moment.images]
    if lost and missing == "error":
        raise DataError(
            f"Camera {lost[0].name} has no image of {moment} ({lost[0].images} in {folder}); add"
            " it, or remove the moment's other images."
        )


def _in_order(moments: list[Moment]) -> list[Moment]:
    """Moments of one sequence in order of time; by name if they have none."""
    timed = [moment for moment in moments if moment.times]
    if not timed:
        return moments
    if len(timed) < len(moments):
        lacks = next(moment for moment in moments if not moment.times)
        raise DataError(f"The images of {lacks} have no time, but others have; add it.")
    ordered = sorted(moments, key=lambda moment: next(iter(moment.times.values())))
    for before, after in zip(ordered, ordered[1:], strict=False):
        if next(iter(before.times.values())) == next(iter(after.times.values())):
            raise DataError(
                f"The images of {before} and of {after} have the same time; correct it."
            )
    return ordered
