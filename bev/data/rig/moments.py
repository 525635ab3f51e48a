"""Moments: which images of different cameras belong together, and their times."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int

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
    """Times of images, microseconds.

    Attributes:
        path: file that they were read from.
        by_image: times by file below the folder of the images; they come before those by moment.
        by_moment: times by (sequence, moment).
        what: description of the table, the beginning of messages.
    """

    path: Path
    by_image: Mapping[str, int]
    by_moment: Mapping[tuple[str, str], int]
    what: str = "Times"


def read_times(path: Path) -> Times:
    """Read a table with a time (seconds, …) for each ``image`` or ``moment`` (of a ``sequence``).

    The time of an image comes before that of its moment.

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
    otherwise: Callable[[], Times | None] | None = None,
) -> list[Moment]:
    """Moments of a folder of images, by sequence and in order of time or name.

    Args:
        rig: cameras with patterns of their images.
        folder: folder of the images.
        times: times of the images, if their names do not contain them.
        missing: "skip" leaves a missing camera out of a moment; otherwise it is an error.
        otherwise: function that reads times, called if there are no others, in names or ``times``.

    Raises:
        DataError: names the camera, and the moment or the folder.
    """
    sequences = list(grouped_images(rig, folder, missing))
    if times is None and otherwise and not any(one.has_times for one in sequences):
        times = otherwise()
    moments = []
    for one in sequences:
        found = [
            _moment(rig, one.sequence, name, images, folder, times) for name, images in one.moments
        ]
        for moment in found:
            _check_complete(moment, rig, folder, missing)
        moments += _in_order(found)
    return moments


class GroupedImages(NamedTuple):
    """Images of one sequence, and which of them belong together.

    Attributes:
        sequence: its name; empty without sequences.
        found: images of each camera.
        moments: name of each moment, and its image of each camera.
        by_time: whether images belong together by their times; otherwise by names.
    """

    sequence: str
    found: Mapping[str, Sequence[FoundImage]]
    moments: Sequence[tuple[str, Mapping[str, FoundImage]]]
    by_time: bool

    @property
    def has_times(self) -> bool:
        """Whether the name of any image has a time."""
        return any(image.time is not None for several in self.found.values() for image in several)


def grouped_images(
    rig: Rig, folder: Path, missing: Literal["error", "skip"] = "error"
) -> Iterator[GroupedImages]:
    """Images of each sequence of a folder, grouped by moment; see :func:`find_moments`."""
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
    for sequence in sorted(sequences, key=natural):
        own = {
            name: [image for image in images if image.sequence == sequence]
            for name, images in found.items()
        }
        named = _named(own)
        grouped = _by_name(own) if named else _by_time(own)
        yield GroupedImages(sequence, own, grouped, not named)


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
                raise _two_images(camera, f"moment {image.moment}", group[camera].path, image.path)
            group[camera] = image
    return sorted(groups.items(), key=lambda item: natural(item[0]))


def _two_images(camera: str, of: str, one: Path, other: Path) -> DataError:
    first, second = sorted((one, other))
    return DataError(
        f"Camera {camera} has two images of {of}: {first} and {second}; remove one, or write a"
        " pattern that one of them matches."
    )


def _by_time(
    found: Mapping[str, Sequence[FoundImage]],
) -> list[tuple[str, dict[str, FoundImage]]]:
    """Each image of the first camera, with those of the others that are nearest in time."""
    cameras = {
        name: sorted(images, key=lambda image: image.time or 0)
        for name, images in found.items()
        if images
    }
    for name, images in cameras.items():
        for one, other in zip(images, images[1:], strict=False):
            if one.time == other.time:
                raise _two_images(name, f"time {one.time} microseconds", one.path, other.path)
    anchor, *others = cameras
    firsts = cameras[anchor]
    at = np.array([image.time for image in firsts], np.int64)
    within = reach(at)
    groups = [(str(image.time), {anchor: image}) for image in firsts]
    for name in others:
        for image in cameras[name]:
            place = nearest(at, image.time or 0)
            away, group = abs(int(at[place]) - (image.time or 0)), groups[place][1]
            known = group.get(name)
            nearer = known is None or away < abs(int(at[place]) - (known.time or 0))
            if away <= within and nearer:
                group[name] = image
    return groups


def nearest(times: Int[np.ndarray, " M"], time: int) -> int:
    """Index of the nearest of ascending times; of two at the same distance the earlier one."""
    after = min(int(np.searchsorted(times, time)), len(times) - 1)
    before = max(after - 1, 0)
    return before if time - int(times[before]) <= int(times[after]) - time else after


def reach(times: Int[np.ndarray, " M"]) -> float:
    """Microseconds from an image of the first camera within which those of the others belong to it.

    Args:
        times: ascending times of the first camera's images, microseconds.
    """
    return float(np.median(np.diff(times))) / 2 if len(times) > 1 else _ALONE


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
    if below in times.by_image:
        return times.by_image[below]
    for key in ((image.sequence, image.moment), ("", image.moment)):
        if key in times.by_moment:
            return times.by_moment[key]
    raise DataError(f"{times.what} {times.path} have no row for image {below}; add it.")


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
    seen: dict[tuple[str, int], Moment] = {}
    for moment in ordered:
        for camera, time in moment.times.items():
            if (before := seen.setdefault((camera, time), moment)) is not moment:
                pair = before.images[camera], moment.images[camera]
                raise _two_images(camera, f"time {time} microseconds", *pair)
    return ordered
