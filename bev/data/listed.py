"""Sources that only provide a sequence of frames, and frames in memory.

Tokens, scenes, times and camera names are listed once when the frames are opened; all features of
the settings are computed from this list and from the frames. The frames may be any sequence, for
example one that reads a frame on access.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import overload

import numpy as np
from jaxtyping import Bool, Int

from bev.data.adjacent import neighbours
from bev.data.checks.findings import Findings
from bev.data.checks.frame import check_frame, order_faults
from bev.data.checks.frame_facts import FrameColumns, FrameFacts
from bev.data.checks.plausible import Facts, implausible
from bev.data.checks.tally import Tally
from bev.data.folds import fold_rows, is_fold
from bev.data.frame import AdjacentFrame, CameraFrame, Frame
from bev.data.settings import DataConfig
from bev.data.source import Frames, FrameSource
from bev.errors import ConfigError, DataError
from bev.geometry import inverse_rigid


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
            read = self._fold(split) if fold else self._list(split)
            self._frames[split] = read
        return self._frames[split]

    def _fold(self, split: str) -> Frames:
        frames = self._every
        where = f"{type(self.data.source).__name__} at {self.data.root}"
        return frames.take(fold_rows(frames.scene, frames.scene_names, split, where))

    @cached_property
    def _every(self) -> "ListedFrames":
        return self._list(*dict.fromkeys(self.data.source.splits(self.data)))

    def _list(self, *splits: str) -> "ListedFrames":
        parts = {split: self._read(split) for split in splits}
        return ListedFrames(SplitFrames(parts, self.data), self.data, self.faults)

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


def check_listable(data: DataConfig) -> None:
    """Check that settings need nothing that a list of frames does not have.

    Raises:
        ConfigError: if they require sweeps or the lidar's coordinate frame.
    """
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


class SplitFrames(Sequence[Frame]):
    """Frames of one split or of several, one after another, as their source reads them on access.

    Args:
        parts: frames of each split.
        data: data settings.

    Raises:
        DataError: on access, if the source cannot read a frame's files.
    """

    def __init__(self, parts: Mapping[str, Sequence[Frame]], data: DataConfig) -> None:
        self.parts, self.data = dict(parts), data
        self.starts = np.cumsum([0, *(len(part) for part in parts.values())])

    def __len__(self) -> int:
        return int(self.starts[-1])

    @overload
    def __getitem__(self, item: int) -> Frame: ...

    @overload
    def __getitem__(self, item: slice) -> list[Frame]: ...

    def __getitem__(self, item: int | slice) -> Frame | list[Frame]:
        if isinstance(item, slice):
            return [self[row] for row in range(len(self))[item]]
        row = range(len(self))[item]
        place = int(np.searchsorted(self.starts, row, side="right")) - 1
        split, row = list(self.parts)[place], row - int(self.starts[place])
        try:
            return self.parts[split][row]
        except OSError as error:
            raise DataError(
                f"{type(self.data.source).__name__} cannot read frame {row} of split {split!r}"
                f" ({error}); restore its files in {self.data.root}, or leave it out."
            ) from error


class ListedFrames(Frames):
    """Frames of any sequence, with the cameras and adjacent frames of the settings.

    Every frame is checked at the start, see ``bev.data.checks.frame``.

    Args:
        frames: frames with all their cameras; those of a scene in order of time.
        data: data settings.
        faults: see :attr:`FrameSource.faults`. A missing image is not among them: whoever lists
            faults checks all files.

    Raises:
        ConfigError: if the settings require sweeps or the lidar's coordinate frame.
        DataError: for an invalid frame, a duplicate token, a scene whose times do not ascend, a
            frame without a required camera, or a missing image file; with ``faults`` if no frame is
            left.
    """

    def __init__(
        self, frames: Sequence[Frame], data: DataConfig, faults: list[str] | None = None
    ) -> None:
        check_listable(data)
        self.data, self.labels, self.cameras = data, data.source.labels, data.camera_names
        listed = self._list(frames, faults)
        if len(listed) < len(frames):
            frames = [frames[row] for row in listed]
        self.frames = frames
        tokens, names, times, facts = zip(*listed.values(), strict=True)
        self._tokens, self._columns = list(tokens), FrameColumns(facts)
        number = {name: place for place, name in enumerate(dict.fromkeys(names))}
        self._scene_names = np.array(list(number))
        self._scene = np.array([number[name] for name in names])
        self._times = np.array(times, np.int64)
        by_scene = np.argsort(self._scene, kind="stable")
        self._members = np.split(by_scene, np.cumsum(np.bincount(self._scene))[:-1])
        self._rows = np.arange(len(listed))

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

    def _list(
        self, frames: Sequence[Frame], faults: list[str] | None
    ) -> dict[int, tuple[str, str, int, FrameFacts]]:
        """Check all frames; returns (token, scene, time, columns) by row, without faulty frames."""
        listed = {}
        for row in range(len(frames)):
            try:
                listed[row] = self._listed(frames[row], must_exist=faults is None)
            except DataError as error:
                if faults is None:
                    raise
                faults.append(str(error))
        wrong = order_faults([item[:3] for item in listed.values()])
        if wrong and faults is None:
            raise DataError(next(iter(wrong.values())))
        if faults is not None:
            faults.extend(wrong.values())
            rows = list(listed)
            for place in wrong:
                del listed[rows[place]]
            if not listed:
                raise DataError(f"None of the {len(frames)} frames can be used.")
        return listed

    def _listed(self, frame: Frame, must_exist: bool) -> tuple[str, str, int, FrameFacts]:
        """Check a frame and return its (token, scene, time, columns)."""
        check_frame(frame, self.data)
        for camera in frame.cameras:
            if must_exist and camera.name in self.cameras and not camera.path.is_file():
                raise DataError(
                    f"Image {camera.path} of frame {frame.token!r} (camera {camera.name}) is"
                    " missing; restore it, or correct --data.root or"
                    f" {type(self.data.source).__name__}."
                )
        facts = FrameFacts.of(frame, self.cameras)
        return frame.token, frame.scene or frame.token, int(frame.timestamp), facts
