"""Check of the data of a config, whatever their source.

nuScenes' tables are checked by ``bev.data.checks.check``. Other sources are checked by the frames
of the training and the validation split, as a run reads them, and by the files that these name.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

from bev.data.adjacent import ALONE
from bev.data.checks.check import CheckConfig, FileCheckConfig, check_data
from bev.data.checks.files import SensorFile, check_images, check_lidar
from bev.data.checks.findings import Findings, Kind
from bev.data.checks.ground_truth import (
    NO_GROUND_TRUTH,
    NO_USABLE_BOX,
    UNUSABLE_POLYGONS,
    UNUSABLE_SPLIT,
    common_scenes,
)
from bev.data.checks.plausible import without_times
from bev.data.checks.tables import NO_BOXES
from bev.data.checks.tally import Tally
from bev.data.checks.use import Use
from bev.data.listed import ListedFrames, ListedSource, SplitFrames, check_listable
from bev.data.nuscenes.source import NuScenesConfig
from bev.data.settings import DataConfig
from bev.data.source import Frames
from bev.errors import ConfigError, DataError

UNPROVIDED = Kind("setting that the source cannot serve", "A run stops with the same sentence.")
FAULTY = Kind("frame that cannot be used", "A run stops with the first of these sentences.")
TOKEN_TWICE = Kind(
    "token of different frames in both splits", "Give every frame a token of its own."
)
IMAGE_TWICE = Kind(
    "image that several frames name",
    "Name each image once: frames with the same image are counted several times, or are both"
    " trained on and validated on.",
    is_error=False,
)
UNKNOWN_SCENES = Kind(
    "split with scenes that do not exist",
    "Correct their names, or remove them from the split.",
    is_error=False,
)


def _no_lidar(is_error: bool) -> Kind:
    return Kind("frame without lidar", "Turn lidar off (--data.no-lidar).", is_error)


def check_config_data(data: DataConfig, config: FileCheckConfig) -> tuple[str, Findings]:
    """Check the training and the validation split of a config.

    For nuScenes' format these are the checks of all tables of ``data.version``.

    Args:
        data: data settings.
        config: settings of the check of files.

    Returns:
        A summary of the checked data, with a line for each split, and all findings.

    Raises:
        DataError: if the data set cannot be opened.
    """
    config = replace(config, lidar=config.lidar or data.lidar)
    if isinstance(data.source, NuScenesConfig):
        check = CheckConfig(**asdict(config), cameras=data.camera_names, min_points=data.min_points)
        return check_data(data.root, data.version, check, Use.of(data))
    findings = Findings()
    splits = _read_splits(data, findings)
    if all(split in splits for split in data.splits):
        train, val = (set(splits[split].frames.scenes) for split in data.splits)
        common_scenes(data.splits, train & val, findings)
    for name, split in splits.items():
        doubts = split.doubts if data.adjacent.offsets() else without_times(split.doubts)
        for kind, texts in doubts.by_kind.items():
            findings.add(kind, (f"{name}: {text}" for text in texts))
        if not split.tally.num_boxes:
            findings.add(NO_GROUND_TRUTH, [f"{name}: {split.tally.frames} samples"])
        elif not split.tally.num_used:
            findings.add(NO_USABLE_BOX, [f"{name}: {split.tally.why_none()}"])
        if data.polygons.layers:
            try:
                data.source.polygons(data, split.frames)
            except (ConfigError, DataError, OSError) as error:
                findings.add(UNUSABLE_POLYGONS, [f"{name}: {error}"])
    read = _check_frames(splits, data, config.lidar, findings)
    images, lidar = list(read.images.values()) if config.images else [], list(read.lidar.values())
    check_images(data.root, images, config.decode, config.threads, findings)
    check_lidar(data.root, lidar, config.lidar, config.decode, config.threads, findings)
    tallies = [split.tally for split in splits.values()]
    summary = (
        f"{type(data.source).__name__} in {data.root}:"
        f" {sum(one.frames for one in tallies) - len(read.again)} samples,"
        f" {sum(one.num_boxes for one in tallies) - sum(read.again)} boxes,"
        f" {len(images)} images, {len(lidar)} lidar files"
    )
    lines = [f"  {name}: {split.tally.text()}" for name, split in splits.items()]
    return "\n".join([summary, *lines]), findings


class _Split(NamedTuple):
    """A split: its sound frames, the counts of its boxes, and its implausible values."""

    frames: ListedFrames
    tally: Tally
    doubts: Findings


def _read_splits(data: DataConfig, findings: Findings) -> dict[str, _Split]:
    """Read the splits in use; faulty frames are left out and reported."""
    alone = replace(data, adjacent=ALONE, reference="ego")  # frames are checked one by one
    source, splits = data.source.open(alone), {}
    if isinstance(source, ListedSource):
        try:
            check_listable(data)
        except ConfigError as error:
            findings.add(UNPROVIDED, [str(error)])
    faults = source.faults = []
    for name in dict.fromkeys(data.splits):
        try:
            splits[name] = _read(name, source.frames(name), alone, faults)
        except (ConfigError, DataError) as error:
            findings.add(UNUSABLE_SPLIT, [f"{name}: {error}"])
        findings.add(FAULTY, faults)
        faults.clear()
        if unknown := source.unknown_scenes(name):
            findings.add(UNKNOWN_SCENES, [f"{name}: {len(unknown)} ({', '.join(unknown)})"])
    findings.extend(source.doubts(data.splits))
    return splits


def _read(name: str, frames: Frames, data: DataConfig, faults: list[str]) -> _Split:
    """Check all frames. A source with ``Frames`` of its own may know more about its boxes."""
    if isinstance(frames, ListedFrames):
        listed = frames
    else:
        listed = ListedFrames(SplitFrames({name: frames}, data), data, faults)
    tally = frames.tally(data.min_points)
    if tally is None:
        return _Split(listed, listed.tally(data.min_points), listed.doubts())
    return _Split(listed, tally, frames.doubts())


class _Read(NamedTuple):
    """Files that the frames of all splits name, each frame and file once.

    Attributes:
        images, lidar: files by their paths.
        again: number of boxes of each frame of the second split that the first has, too.
    """

    images: dict[Path, SensorFile]
    lidar: dict[Path, SensorFile]
    again: list[int]


def _check_frames(
    splits: Mapping[str, _Split], data: DataConfig, needs_lidar: bool, findings: Findings
) -> _Read:
    """Check that no image or token is of several frames, and what each frame has."""
    read = _Read({}, {}, [])
    known: dict[str, tuple[str, tuple]] = {}  # split and identity by token
    without_lidar = []
    for name, split in splits.items():
        for frame in split.frames:
            frame_name = f"frame {frame.token!r}"
            paths = {camera.name: camera.path for camera in frame.cameras}
            identity = (frame.scene, frame.timestamp, paths)
            other, same = known.setdefault(frame.token, (name, identity))
            if other != name and same == identity:
                read.again.append(len(frame.boxes))
                continue
            if other != name:
                findings.add(TOKEN_TWICE, [f"{frame_name} of {other} and {name}"])
            if split.tally.num_boxes and not len(frame.boxes):
                findings.add(NO_BOXES, [frame_name])
            for camera in frame.cameras:
                name_of = _name(camera.path, data.root)
                file = SensorFile(name_of, frame_name, camera.file_size)
                first = read.images.setdefault(camera.path, file)
                if first is not file and other == name:
                    text = f"{file.filename}: {first.named_by} and {frame_name}"
                    findings.add(IMAGE_TWICE, [text])
            if frame.lidar_path is None:
                without_lidar.append(frame_name)
            else:
                file = SensorFile(_name(frame.lidar_path, data.root), frame_name, (0, 0))
                read.lidar.setdefault(frame.lidar_path, file)
    if needs_lidar or read.lidar:
        findings.add(_no_lidar(needs_lidar), without_lidar)
    return read


def _name(path: Path, root: Path) -> str:
    """Name of a file below the data root, or its absolute path."""
    return str(path.relative_to(root) if path.is_relative_to(root) else path.absolute())
