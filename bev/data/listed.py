"""Sources that give their frames and nothing else, and frames in memory.

The idea: tokens, scenes, times and camera names are listed once, when frames are opened; whatever
the settings ask for is made of that list and of the frames themselves. So the frames may be any
sequence, such as one that reads a frame when it is asked for.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int

from bev.data.adjacent import neighbours
from bev.data.folds import fold_rows, is_fold
from bev.data.frame import AdjacentFrame, CameraFrame, Frame
from bev.data.frame_checks import check_frame
from bev.data.settings import DataConfig
from bev.data.source import Frames, FrameSource
from bev.errors import ConfigError, DataError
from bev.geometry import inverse_rigid


class ListedSource(FrameSource):
    """A source whose settings give its frames, :meth:`SourceConfig.frames`.

    Folds deal out the scenes of its usual splits.
    """

    def frames(self, split: str) -> Frames:
        if not is_fold(split):
            return ListedFrames(self._read(split), self.data)
        usual = dict.fromkeys(self.data.source.splits(self.data))
        frames = ListedFrames([frame for name in usual for frame in self._read(name)], self.data)
        where = f"{type(self.data.source).__name__} at {self.data.root}"
        return frames.take(fold_rows(frames.scene, frames.scene_names, split, where))

    def _read(self, split: str) -> Sequence[Frame]:
        source, name = self.data.source, type(self.data.source).__name__
        usual = " and ".join(dict.fromkeys(source.splits(self.data)))
        try:
            frames = source.frames(self.data, split)
        except OSError as error:
            raise DataError(
                f"{name} cannot read split {split!r} ({error}); its usual splits are {usual}, its"
                f" folder is --data.root {self.data.root}."
            ) from error
        if not isinstance(frames, Sequence):
            raise DataError(
                f"{name}.frames gives a {type(frames).__name__}; give a list of Frame, or another"
                " sequence of it."
            )
        if not len(frames):
            raise DataError(
                f"{name} has no frame of split {split!r} in {self.data.root}; its usual splits are"
                f" {usual}."
            )
        return frames


class ListedFrames(Frames):
    """Frames of any sequence, with the cameras and adjacent frames that the settings ask for.

    Every frame is checked when they are opened, see ``bev.data.frame_checks``.

    Args:
        frames: those of a scene in the order of time, with all their cameras.
        data: settings.

    Raises:
        ConfigError: where the settings ask for sweeps or for the lidar's frame.
        DataError: for what is no frame, or not as it must be, a token that comes twice, a scene
            whose times do not ascend, a camera that a frame lacks, or an image that is missing.
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
                f"{source} gives frames in the car's own frame; set data.reference to ego, not"
                f" {data.reference}."
            )
        self.frames, self.data, self.labels = frames, data, data.source.labels
        self.cameras = data.camera_names
        seen = [self._listed(frame) for frame in frames]
        self._tokens, names, times = (list(column) for column in zip(*seen, strict=True))
        number = {name: place for place, name in enumerate(dict.fromkeys(names))}
        self.scene_names = np.array(list(number))
        self._scene = np.array([number[name] for name in names])
        self._times = np.array(times, np.int64)
        by_scene = np.argsort(self._scene, kind="stable")
        self._members = np.split(by_scene, np.cumsum(np.bincount(self._scene))[:-1])
        self._rows = np.arange(len(seen))
        self._check_order()

    @property
    def scene(self) -> Int[np.ndarray, " n"]:
        return self._scene[self._rows]

    @property
    def tokens(self) -> list[str]:
        return [self._tokens[row] for row in self._rows]

    def take(self, rows: Int[np.ndarray, " m"]) -> "ListedFrames":
        """The frames of these places; adjacent ones may be others of their scenes."""
        taken = copy.copy(self)
        taken._rows = self._rows[rows]
        return taken

    def classes_held(self, min_points: int) -> Bool[np.ndarray, "n C"]:
        held = np.zeros((len(self), len(self.labels.classes)), bool)
        for place, row in enumerate(self._rows.tolist()):
            frame = self.frames[row]
            held[place, frame.boxes.label[frame.counted(min_points)].numpy()] = True
        return held

    def played(self, item: int, rate: float) -> Frame:
        row = int(self._rows[item])
        frame = self.frames[row]
        own = {camera.name: camera for camera in frame.cameras}
        cameras = tuple(own[name] for name in self.cameras if name in own)
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
        self, row: int, own_row: int, cameras: Sequence[CameraFrame], own: Frame, rate: float
    ) -> AdjacentFrame:
        other = self.frames[row]
        there = {camera.name: camera for camera in other.cameras}
        ego_from_global = inverse_rigid(own.global_from_ego)
        seconds = int(self._times[row] - self._times[own_row]) * 1e-6
        return AdjacentFrame(
            name=other.token,
            cameras=tuple(there[camera.name] for camera in cameras if camera.name in there),
            seconds=seconds / rate,
            ego_from_adjacent=ego_from_global @ other.global_from_ego,
        )

    def _listed(self, frame: Frame) -> tuple[str, str, int]:
        """(token, scene, time) of a frame that has the cameras."""
        source = f"{type(self.data.source).__name__}.frames"
        if not isinstance(frame, Frame):
            raise DataError(f"{source} gives a {type(frame).__name__} among its frames, no Frame.")
        kinds = {"token": str, "scene": str, "timestamp": int | np.integer, "cameras": tuple}
        for name, kind in kinds.items():
            value = getattr(frame, name)
            if not isinstance(value, kind) or value == "" and name == "token":
                wanted = getattr(kind, "__name__", "int")
                raise DataError(f"Frame {frame.token!r}: {name} is {value!r}; give a {wanted}.")
        names = []
        for camera in frame.cameras:
            if not isinstance(camera, CameraFrame):
                kind = type(camera).__name__
                raise DataError(f"Frame {frame.token!r}: a camera is a {kind}, no CameraFrame.")
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
        for camera in frame.cameras:
            if camera.name in self.cameras and not camera.path.is_file():
                raise DataError(
                    f"Image {camera.path} of frame {frame.token!r} (camera {camera.name}) is"
                    " missing; restore it, or mend --data.root or"
                    f" {type(self.data.source).__name__}."
                )
        return frame.token, frame.scene or frame.token, int(frame.timestamp)

    def _check_order(self) -> None:
        if len(set(self._tokens)) < len(self._tokens):
            twice = next(one for one in self._tokens if self._tokens.count(one) > 1)
            raise DataError(f"Frame {twice!r} comes twice; every frame needs a token of its own.")
        for scene in self._members:
            late = np.flatnonzero(np.diff(self._times[scene]) <= 0)
            if len(late):
                before, after = scene[late[0]], scene[late[0] + 1]
                raise DataError(
                    f"Frame {self._tokens[after]!r} at {self._times[after]} us follows"
                    f" {self._tokens[before]!r} at {self._times[before]} us; times must ascend"
                    f" within scene {self.scene_names[self._scene[after]]!r}."
                )
