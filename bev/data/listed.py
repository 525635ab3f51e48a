"""Sources that only provide a sequence of frames, and frames in memory.

Tokens, scenes, times and camera names are listed once when the frames are opened; all features of
the settings are computed from this list and from the frames. The frames may be any sequence, for
example one that reads a frame on access.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

from bev.data.adjacent import neighbours
from bev.data.checks.findings import Findings
from bev.data.checks.frame import check_frame
from bev.data.checks.frame_facts import FrameColumns, FrameFacts
from bev.data.checks.plausible import Facts, implausible
from bev.data.checks.tally import Tally
from bev.data.folds import fold_rows, is_fold
from bev.data.frame import AdjacentFrame, CameraFrame, Frame
from bev.data.settings import DataConfig
from bev.data.source import Frames, FrameSource
from bev.errors import ConfigError, DataError
from bev.geometry import inverse_rigid
from bev.paths import is_below


class ListedSource(FrameSource):
    """A source whose settings provide its frames, :meth:`SourceConfig.frames`.

    Folds divide the scenes of its default splits. The frames of a split are listed once.
    """

    def __init__(self, data: DataConfig) -> None:
        super().__init__(data)
        self._frames: dict[str, Frames] = {}

    def frames(self, split: str) -> Frames:
        if split not in self._frames:
            fold = is_fold(split)
            read = self._fold(split) if fold else ListedFrames(self._read(split), self.data)
            self._frames[split] = read
        return self._frames[split]

    def _fold(self, split: str) -> Frames:
        frames = self._every
        where = f"{type(self.data.source).__name__} at {self.data.root}"
        return frames.take(fold_rows(frames.scene, frames.scene_names, split, where))

    @cached_property
    def _every(self) -> "ListedFrames":
        defaults = dict.fromkeys(self.data.source.splits(self.data))
        return ListedFrames([frame for name in defaults for frame in self._read(name)], self.data)

    def _read(self, split: str) -> Sequence[Frame]:
        source, name = self.data.source, type(self.data.source).__name__
        defaults = " and ".join(dict.fromkeys(source.splits(self.data)))
        try:
            frames = source.frames(self.data, split)
        except OSError as error:
            raise DataError(
                f"{name} cannot read split {split!r} ({error}); its default splits are {defaults},"
                f" its folder is --data.root {self.data.root}."
            ) from error
        if not isinstance(frames, Sequence):
            raise DataError(
                f"{name}.frames returns a {type(frames).__name__}; return a list or another"
                " sequence of Frame."
            )
        if not len(frames):
            raise DataError(
                f"{name} has no frame of split {split!r} in {self.data.root}; its default splits"
                f" are {defaults}."
            )
        return frames


class ListedFrames(Frames):
    """Frames of any sequence, with the cameras and adjacent frames of the settings.

    Every frame is checked at the start, see ``bev.data.checks.frame``.

    Args:
        frames: frames with all their cameras; those of a scene in order of time.
        data: data settings.

    Raises:
        ConfigError: if the settings require sweeps or the lidar's coordinate frame.
        DataError: for an invalid frame, a duplicate token, a scene whose times do not ascend, a
            frame without a required camera, or a missing image file.
    """

    def __init__(self, frames: Sequence[Frame], data: DataConfig) -> None:
        source = type(data.source).__name__
        if data.adjacent.unit == "sweeps" and data.adjacent.offsets():
            raise ConfigError(
                f"{source} has no sweeps between key frames; set data.adjacent.unit to key_frames"
                " or seconds."
            )
        if data.reference != "ego":
            raise ConfigError(
                f"{source} provides frames in the ego vehicle's coordinates; set data.reference to"
                f" ego, not {data.reference}."
            )
        self.frames, self.data, self.labels = frames, data, data.source.labels
        self.cameras = data.camera_names
        listed = [self._listed(frame) for frame in frames]
        tokens, names, times, facts = zip(*listed, strict=True)
        self._tokens, self._columns = list(tokens), FrameColumns(facts)
        number = {name: place for place, name in enumerate(dict.fromkeys(names))}
        self._scene_names = np.array(list(number))
        self._scene = np.array([number[name] for name in names])
        self._times = np.array(times, np.int64)
        by_scene = np.argsort(self._scene, kind="stable")
        self._members = np.split(by_scene, np.cumsum(np.bincount(self._scene))[:-1])
        self._rows = np.arange(len(listed))
        self._check_order()

    @property
    def scene(self) -> Int[np.ndarray, " n"]:
        return self._scene[self._rows]

    @property
    def scene_names(self) -> np.ndarray:
        return self._scene_names

    @property
    def tokens(self) -> list[str]:
        return [self._tokens[row] for row in self._rows]

    def take(self, rows: Int[np.ndarray, " m"]) -> "ListedFrames":
        """Select frames; their adjacent frames may be any frames of their scenes."""
        taken = copy.copy(self)
        taken._rows = self._rows[rows]
        return taken

    def classes_held(self, min_points: int) -> Bool[np.ndarray, "n C"]:
        return self._columns.classes_held(self._rows, len(self.labels.classes), min_points)

    def tally(self, min_points: int) -> Tally:
        scenes = len(np.unique(self.scene))
        return self._columns.tally(self._rows, scenes, self.labels.names, min_points)

    def doubts(self) -> Findings:
        times, position = self._times[self._rows], self._columns.position[self._rows]
        cameras, boxes = self._columns.of_rows(self._rows)
        return implausible(Facts(self.scene, times, position, cameras, boxes, self.labels.names))

    @property
    def annotated(self) -> bool:
        return bool(np.isin(self._columns.frame_of_box, self._rows).any())

    def played(self, item: int, rate: float) -> Frame:
        row = int(self._rows[item])
        frame = self.frames[row]
        by_name = {camera.name: camera for camera in frame.cameras}
        cameras = tuple(by_name[name] for name in self.cameras if name in by_name)
        scene = self._members[self._scene[row]]
        place = int(np.searchsorted(scene, row))
        others = neighbours(self._times[scene], place, self.data.adjacent, rate)
        return replace(
            frame,
            cameras=cameras,
            boxes=replace(frame.boxes, velocity=frame.boxes.velocity * rate),
            adjacent=tuple(
                self._adjacent(int(scene[other]), row, cameras, frame, rate) for other in others
            ),
        )

    def _adjacent(
        self, row: int, key_row: int, cameras: Sequence[CameraFrame], key: Frame, rate: float
    ) -> AdjacentFrame:
        other = self.frames[row]
        by_name = {camera.name: camera for camera in other.cameras}
        ego_from_global = inverse_rigid(key.global_from_ego)
        seconds = int(self._times[row] - self._times[key_row]) * 1e-6
        return AdjacentFrame(
            name=other.token,
            cameras=tuple(by_name[camera.name] for camera in cameras if camera.name in by_name),
            seconds=seconds / rate,
            ego_from_adjacent=ego_from_global @ other.global_from_ego,
        )

    def _listed(self, frame: Frame) -> tuple[str, str, int, FrameFacts]:
        """Check a frame and return its (token, scene, time, columns)."""
        source = f"{type(self.data.source).__name__}.frames"
        if not isinstance(frame, Frame):
            raise DataError(f"{source} gives a {type(frame).__name__} among its frames, no Frame.")
        kinds = {"token": str, "scene": str, "timestamp": int | np.integer, "cameras": tuple}
        for name, kind in kinds.items():
            value = getattr(frame, name)
            if not isinstance(value, kind) or value == "" and name == "token":
                wanted = getattr(kind, "__name__", "int")
                raise DataError(f"Frame {frame.token!r}: {name} is {value!r}; it must be {wanted}.")
        names = []
        for camera in frame.cameras:
            if not isinstance(camera, CameraFrame):
                kind = type(camera).__name__
                raise DataError(f"Frame {frame.token!r}: a camera is a {kind}, not a CameraFrame.")
            if camera.name in names:
                raise DataError(f"Frame {frame.token!r} has camera {camera.name!r} twice.")
            names.append(camera.name)
        missing = [name for name in self.cameras if name not in names]
        if missing and (self.data.missing_cameras == "error" or len(missing) == len(self.cameras)):
            raise DataError(
                f"Frame {frame.token!r} has no camera {missing[0]} (data.cameras); it has"
                f" {', '.join(names) or 'none'}."
            )
        check_frame(frame, self.labels)
        self._check_places(frame)
        for camera in frame.cameras:
            if camera.name in self.cameras and not camera.path.is_file():
                raise DataError(
                    f"Image {camera.path} of frame {frame.token!r} (camera {camera.name}) is"
                    " missing; restore it, or correct --data.root or"
                    f" {type(self.data.source).__name__}."
                )
        facts = FrameFacts.of(frame, self.cameras)
        return frame.token, frame.scene or frame.token, int(frame.timestamp), facts

    def _check_places(self, frame: Frame) -> None:
        """Raise an error for a file outside of the data root, such as ``root / "../a.jpg"``.

        A source that leaves ``data.root`` at its default may have its files anywhere else.
        """
        root = self.data.root
        paths = [camera.path for camera in frame.cameras]
        for path in [*paths, *([frame.lidar_path] if frame.lidar_path is not None else [])]:
            named = root != DataConfig.root or path.parts[: len(root.parts)] == root.parts
            if named and not is_below(path, root):
                raise DataError(
                    f"Frame {frame.token!r} names the file {str(path)!r}, which is not below"
                    f" --data.root {root}; correct its name, or set --data.root to a folder that"
                    " contains all files."
                )

    def _check_order(self) -> None:
        if len(set(self._tokens)) < len(self._tokens):
            twice = next(one for one in self._tokens if self._tokens.count(one) > 1)
            raise DataError(f"Frame {twice!r} occurs twice; every frame needs a unique token.")
        for scene in self._members:
            late = np.flatnonzero(np.diff(self._times[scene]) <= 0)
            if len(late):
                before, after = scene[late[0]], scene[late[0] + 1]
                raise DataError(
                    f"Frame {self._tokens[after]!r} at {self._times[after]} us follows"
                    f" {self._tokens[before]!r} at {self._times[before]} us; times must ascend"
                    f" within scene {self._scene_names[self._scene[after]]!r}."
                )
