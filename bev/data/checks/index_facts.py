"""Columns of nuScenes key frames for the rules of plausibility, and the rules for its links.

Only columns of the index are read, so that a check of 28,000 key frames takes a fraction of a
second.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from bev.data.checks.findings import Findings, Kind
from bev.data.checks.plausible import TIME_UNIT, BoxFacts, CameraFacts, Facts, implausible
from bev.data.nuscenes.classes import CLASSES
from bev.data.nuscenes.index import NO_ROW, Index

LINKS = Kind(
    "successive samples that prev and next do not link",
    "Set prev and next in sample.json in order of time: adjacent frames follow them.",
    is_error=False,
)
LINKS_REVERSED = Kind(
    "samples whose next one is earlier, or in another scene",
    "Correct timestamp, prev and next in sample.json.",
)
BOX_LINKS = Kind(
    "no box has a velocity",
    "Set prev and next in sample_annotation.json along each instance: velocities follow from them,"
    " between boxes at most 1.5 s apart.",
    is_error=False,
)
RECORD_TIMES = Kind(
    "sensor records more than 1 s from their sample",
    "Give timestamps of sample.json and sample_data.json in the same unit and of the same clock.",
    is_error=False,
)
_APART = 1_000_000  # microseconds


def doubts_of(
    index: Index, samples: Int[np.ndarray, " n"], cameras: Sequence[str] | None = None
) -> Findings:
    """Implausible values of some samples; those without sensor data are passed over.

    Args:
        index: opened data set.
        samples: rows of ``sample``.
        cameras: names of the cameras in use; None for all.
    """
    samples = samples[(index.sample.data[samples] != NO_ROW).any(axis=1)]
    if not len(samples):
        return Findings()
    findings = implausible(facts_of(index, samples, cameras))
    if TIME_UNIT in findings.by_kind:
        return findings  # what follows compares times
    _check_links(index, samples, findings)
    data = index.sample.data[samples]
    frame, channel = np.nonzero(data != NO_ROW)
    record = index.sample_data.timestamp[data[frame, channel]]
    apart = np.abs(record - index.sample.timestamp[samples[frame]])
    if len(far := apart[apart > _APART]):
        text = f"{len(far)} of {len(apart)} records, {np.median(far) * 1e-6:.3g} s apart (median)"
        findings.add(RECORD_TIMES, [text])
    return findings


def facts_of(
    index: Index, samples: Int[np.ndarray, " n"], cameras: Sequence[str] | None = None
) -> Facts:
    """Columns of some samples, each of which has sensor data; see :func:`doubts_of`."""
    data = index.sample.data[samples]
    # Any record serves: the ego vehicle moves little between the sensors' times.
    position = index.sample_data.translation[data.max(axis=1, initial=0)]
    table = index.sample_annotation
    place, rows = index.annotations_of(samples)
    label = index.class_of_category[table.category[rows]]
    place, rows, label = place[label >= 0], rows[label >= 0], label[label >= 0]
    offset = table.translation[rows, :2] - position[place, :2]
    boxes = BoxFacts(
        label=label,
        size=table.size[rows][:, [1, 0, 2]],
        speed=np.linalg.norm(table.velocity[rows], axis=1),
        distance=np.linalg.norm(offset, axis=1),
    )
    time, scene = index.sample.timestamp[samples], index.sample.scene[samples]
    used = index.sensor.modality == b"camera"
    if cameras is not None:
        used &= np.isin(index.sensor.channel, [name.encode() for name in cameras])
    return Facts(scene, time, position, _cameras(index, data[:, used]), boxes, CLASSES)


def _cameras(index: Index, records: Int[np.ndarray, "n cameras"]) -> CameraFacts:
    """Calibrations of the camera records of key frames, each with each image size once."""
    records = records[records != NO_ROW]
    columns, sensors = index.sample_data, index.calibrated_sensor
    size = np.stack([columns.height[records], columns.width[records]], axis=1).astype(np.int64)
    mounting = columns.calibrated_sensor[records].astype(np.int64)
    _, first = np.unique((mounting << 40) + (size[:, 0] << 20) + size[:, 1], return_index=True)
    records, size, mounting = records[first], size[first], mounting[first]
    matrix = sensors.camera_intrinsic[mounting]
    w, x, y, z = (sensors.rotation[mounting] / _lengths(sensors.rotation[mounting])).T
    return CameraFacts(
        name=np.char.decode(index.sensor.channel[columns.channel[records]], "utf-8"),
        size=size.astype(float),
        focal=matrix[:, [0, 1], [0, 1]],
        centre=matrix[:, :2, 2],
        height=sensors.translation[mounting, 2],
        forward_up=1 - 2 * (x * x + y * y),
        down_up=2 * (y * z + w * x),
    )


def _lengths(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors, axis=1, keepdims=True)


def _check_links(index: Index, samples: Int[np.ndarray, " n"], findings: Findings) -> None:
    """Check that prev and next of samples follow time, and that the boxes of a track are linked."""
    table = index.sample
    after = table.next[samples]
    linked, after = samples[after != NO_ROW], after[after != NO_ROW]
    wrong = (table.timestamp[after] <= table.timestamp[linked]) | (
        table.scene[after] != table.scene[linked]
    )
    if wrong.any():
        first = index.token_of(int(linked[wrong.argmax()]))
        text = f"{wrong.sum()} of {len(linked)}, the first is sample {first}"
        findings.add(LINKS_REVERSED, [text])
    else:
        ordered = samples[np.lexsort((table.timestamp[samples], table.scene[samples]))]
        same = np.diff(table.scene[ordered]) == 0
        first, second = ordered[:-1][same], ordered[1:][same]
        loose = (table.next[first] != second) | (table.prev[second] != first)
        if loose.any():
            example = index.scene.name[table.scene[first[loose.argmax()]]].decode()
            text = f"{loose.sum()} of {len(loose)} pairs, the first in scene {example}"
            findings.add(LINKS, [text])
    boxes = index.sample_annotation
    _, rows = index.annotations_of(samples)
    _, count = np.unique(boxes.instance[rows], return_counts=True)
    several = int((count > 1).sum())
    if several and np.isnan(boxes.velocity[rows]).all():
        text = f"{len(rows)} boxes, although {several} objects occur in several samples"
        findings.add(BOX_LINKS, [text])
