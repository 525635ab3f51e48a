"""Rules for values that are physically implausible, whatever their source.

Each rule compares columns (:class:`Facts`) with limits that vehicles, robots and their cameras do
not exceed, and that a wrong unit, layout or convention does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from bev.data.checks.findings import Findings, Kind

TIME_UNIT = Kind("times that are no microseconds", "Give timestamps in microseconds.")
TIME_UNIT_UNUSED = replace(TIME_UNIT, is_error=False)
TIME_STEPS = Kind(
    "key frames more than 20 s apart",
    "Give timestamps in microseconds; frames so far apart are no use as adjacent frames.",
    is_error=False,
)
EGO_SPEED = Kind(
    "vehicle that moves faster than 100 m/s",
    "Give ego positions in metres, in a global frame that does not change within a scene.",
    is_error=False,
)
FOCAL_LENGTH = Kind(
    "focal length that does not fit the image",
    "Give intrinsics in pixels of the stored images, and scale them with resized images.",
    is_error=False,
)
PRINCIPAL_POINT = Kind(
    "principal point outside the image",
    "Give intrinsics in pixels of the stored images; after a crop, subtract its corner.",
    is_error=False,
)
CAMERA_HEIGHT = Kind(
    "camera below the ground, or more than 10 m above it",
    "Give poses from the camera to the ego frame, in metres, with the origin on the ground.",
    is_error=False,
)
CAMERA_DIRECTION = Kind(
    "camera that points straight up or down, or whose image is not upright",
    "Give rotations from the camera frame (x right, y down, z forward) to the ego frame (x forward,"
    " y left, z up); quaternions are w, x, y, z.",
    is_error=False,
)
BOX_SIZE = Kind("box with a side above 50 m or below 1 cm", "Give sizes in metres.", is_error=False)
BOX_ORDER = Kind(
    "vehicles that are wider than long",
    "Give sizes in the format's order: width, length, height in nuScenes' tables, length, width,"
    " height in Boxes3D.",
    is_error=False,
)
BOX_SPEED = Kind("box faster than 100 m/s", "Give velocities in metres per second.", is_error=False)
BOX_PLACE = Kind(
    "boxes more than 300 m from the vehicle",
    "Give box centres in the format's frame: global in nuScenes' tables, ego in a Frame.",
    is_error=False,
)

_SHORTEST, _LONGEST = 1e-3, 20.0  # seconds between key frames
_LATEST = 1e17  # microseconds, in the year 5138
_UNITS = {"seconds": 1e6, "milliseconds": 1e3, "nanoseconds": 1e-3}  # in microseconds
_FASTEST = 100.0  # metres per second
_FOCAL = (0.1, 20.0)  # focal length / image width: a field of view of 157 or 2.9 degrees
_ASPECT = (0.5, 2.0)  # vertical / horizontal focal length
_HEIGHT = (0.05, 10.0)  # metres
_STEEP = 0.966  # vertical component of an optical axis, sine of 75 degrees
_TILTED = 0.7  # above it, the direction of the image's rows is not checked
_SIDE = (0.01, 50.0)  # metres
_FAR, _MANY_FAR = 300.0, 0.01  # metres, and fraction of the boxes
_LONG = ("car", "truck", "bus", "trailer", "van", "forklift")  # classes longer than wide
_MOST_WIDE = 0.9  # fraction of the boxes of a class


@dataclass(frozen=True)
class CameraFacts:
    """Calibrations of K cameras.

    Attributes:
        name: names; cameras of one name are reported together.
        size: (height, width), pixels.
        focal: (fx, fy), pixels.
        centre: (cx, cy), pixels.
        height: of the camera above the ego frame's origin, metres.
        forward_up, down_up: components along the ego frame's z of the camera's z axis (forward) and
            y axis (down).
    """

    name: np.ndarray
    size: Float[np.ndarray, "K 2"]
    focal: Float[np.ndarray, "K 2"]
    centre: Float[np.ndarray, "K 2"]
    height: Float[np.ndarray, " K"]
    forward_up: Float[np.ndarray, " K"]
    down_up: Float[np.ndarray, " K"]


@dataclass(frozen=True)
class BoxFacts:
    """M boxes.

    Attributes:
        label: class, an index into the names.
        size: (length, width, height), metres.
        speed: metres per second; NaN if unknown.
        distance: horizontal distance from the ego vehicle, metres.
    """

    label: Int[np.ndarray, " M"]
    size: Float[np.ndarray, "M 3"]
    speed: Float[np.ndarray, " M"]
    distance: Float[np.ndarray, " M"]


@dataclass(frozen=True)
class Facts:
    """Columns of the key frames of a split.

    Attributes:
        scene: (n,) scene of each frame, an integer.
        time: (n,) microseconds.
        position: (n, 3) of the ego vehicle in the global frame, metres.
        cameras: calibrations.
        boxes: ground truth of known classes.
        classes: class names.
    """

    scene: Int[np.ndarray, " n"]
    time: Int[np.ndarray, " n"]
    position: Float[np.ndarray, "n 3"]
    cameras: CameraFacts
    boxes: BoxFacts
    classes: tuple[str, ...]


def implausible(facts: Facts) -> Findings:
    """All findings, each with counts and an example."""
    findings = Findings()
    order = np.lexsort((facts.time, facts.scene))
    within = np.diff(facts.scene[order]) == 0
    steps = np.diff(facts.time[order])[within] * 1e-6
    _check_times(facts.time, steps, findings)
    known_unit = TIME_UNIT not in findings.by_kind
    if known_unit:  # otherwise speeds are wrong too
        moved = np.linalg.norm(np.diff(facts.position[order], axis=0), axis=1)[within]
        speed = moved / np.maximum(steps, 1e-6)
        if len(fast := speed[speed > _FASTEST]):
            text = f"{len(fast)} of {len(speed)} steps between key frames, up to {fast.max():.3g}"
            findings.add(EGO_SPEED, [f"{text} m/s"])
    check_cameras(facts.cameras, findings)
    _check_boxes(facts.boxes, facts.classes, known_unit, findings)
    return findings


def without_times(findings: Findings) -> Findings:
    """The findings for a config that uses no times: their unit is then a warning, no error."""
    kinds = {TIME_UNIT: TIME_UNIT_UNUSED}
    return Findings({kinds.get(kind, kind): texts for kind, texts in findings.by_kind.items()})


def _check_times(time: np.ndarray, steps: np.ndarray, findings: Findings) -> None:
    """Check the unit of times: no camera takes 1000 key frames per second, but some take few."""
    latest = float(np.abs(time.astype(np.float64)).max(initial=0))
    middle = float(np.median(steps)) if len(steps) else _LONGEST
    guesses = (name for name, unit in _UNITS.items() if 0.01 <= middle * unit <= _LONGEST)
    guess = "seconds" if middle == 0 else next(guesses, "")
    looks = f", as if times were in {guess}" if guess else ""
    apart = f"key frames are {middle:.3g} s apart (median of {len(steps)} steps){looks}"
    if latest > _LATEST:
        findings.add(TIME_UNIT, [f"the latest is {latest:.4g}, as if in nanoseconds"])
    elif middle < _SHORTEST:
        findings.add(TIME_UNIT, [apart])
    elif middle > _LONGEST:
        findings.add(TIME_STEPS, [apart])


def check_cameras(cameras: CameraFacts, findings: Findings) -> None:
    """Add what is implausible about calibrations."""
    (fx, fy), (height, width), (cx, cy) = cameras.focal.T, cameras.size.T, cameras.centre.T
    ratio, aspect = fx / width, fy / fx
    bad = ~_between(ratio, _FOCAL) | ~_between(aspect, _ASPECT)
    for name, row, count in _by_name(cameras.name, bad):
        text = f"{fx[row]:.4g} and {fy[row]:.4g} px for {width[row]:.0f}x{height[row]:.0f} px"
        findings.add(FOCAL_LENGTH, [f"{name}: {text}{count}"])
    outside = ~(_between(cx / width, (0, 1)) & _between(cy / height, (0, 1)))
    for name, row, count in _by_name(cameras.name, outside & ~bad):
        text = f"({cx[row]:.4g}, {cy[row]:.4g}) for {width[row]:.0f}x{height[row]:.0f} px"
        findings.add(PRINCIPAL_POINT, [f"{name}: {text}{count}"])
    for name, row, count in _by_name(cameras.name, ~_between(cameras.height, _HEIGHT)):
        findings.add(CAMERA_HEIGHT, [f"{name}: {cameras.height[row]:.4g} m{count}"])
    steep = np.abs(cameras.forward_up) > _STEEP
    turned = (cameras.down_up > -0.2) & (np.abs(cameras.forward_up) < _TILTED)
    for name, row, count in _by_name(cameras.name, steep | turned):
        degrees = np.rad2deg(np.arcsin(np.clip(cameras.forward_up[row], -1, 1)))
        how = f"points {abs(degrees):.0f} degrees {'up' if degrees > 0 else 'down'}"
        if not steep[row]:
            down = np.rad2deg(np.arccos(np.clip(-cameras.down_up[row], -1, 1)))
            how = f"image turned by {down:.0f} degrees"
        findings.add(CAMERA_DIRECTION, [f"{name}: {how}{count}"])


def _check_boxes(
    boxes: BoxFacts, classes: tuple[str, ...], check_speed: bool, findings: Findings
) -> None:
    far = boxes.distance > _FAR
    if far.mean(dtype=float) > _MANY_FAR if len(far) else False:
        away = np.median(boxes.distance[far])
        findings.add(BOX_PLACE, [f"{far.sum()} of {len(far)}, {away:.4g} m away (median)"])
    size = boxes.size
    odd = ~_between(size, _SIDE).all(axis=1)
    fast = boxes.speed > _FASTEST  # not where it is unknown
    for label in np.unique(boxes.label).tolist():
        of_class = boxes.label == label
        name, total = classes[label], int(of_class.sum())
        if count := int((odd & of_class).sum()):
            middle = " x ".join(f"{side:.3g}" for side in np.median(size[odd & of_class], axis=0))
            findings.add(BOX_SIZE, [f"{name}: {count} of {total}, {middle} m (median)"])
        wide = int((size[of_class, 1] > size[of_class, 0]).sum())
        if name in _LONG and wide > _MOST_WIDE * total:
            findings.add(BOX_ORDER, [f"{name}: {wide} of {total}"])
        if check_speed and (count := int((fast & of_class).sum())):
            most = boxes.speed[fast & of_class].max()
            findings.add(BOX_SPEED, [f"{name}: {count} of {total}, up to {most:.3g} m/s"])


def _by_name(names: np.ndarray, bad: Bool[np.ndarray, " K"]) -> Iterator[tuple[str, int, str]]:
    """Each name with bad rows, the first of these rows, and their number if there are several."""
    for name in dict.fromkeys(names[bad].tolist()):
        rows = np.flatnonzero(names == name)
        of_name = rows[bad[rows]]
        count = f", {len(of_name)} of {len(rows)} calibrations" if len(rows) > 1 else ""
        yield name, int(of_name[0]), count


def _between(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    return (values >= limits[0]) & (values <= limits[1])
