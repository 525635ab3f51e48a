"""Interface of data sources: a label space, cameras, and the key frames of splits.

A simple source only provides its key frames, ``SourceConfig.frames``. All other features (choice of
cameras, adjacent frames, folds, fractions, sampling) are computed from these, see
``bev.data.listed``. A source with tables of its own opens as a :class:`FrameSource` of its own, as
nuScenes does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from jaxtyping import Bool, Int

from bev.data.checks.findings import Findings
from bev.data.checks.tally import Tally
from bev.data.folds import keep_fraction
from bev.data.frame import AdjacentFrame, Frame
from bev.data.labels import LabelSpace
from bev.errors import ConfigError, DataError
from bev.geometry import Polygons

if TYPE_CHECKING:
    import bev.data.settings


class Frames(Sequence[Frame]):
    """Sequence of key frames that are created on access; the frames of a scene in order of time.

    A slice is again a ``Frames``.

    Attributes:
        labels: label space of the ground truth.
    """

    labels: LabelSpace

    @property
    def scene(self) -> Int[np.ndarray, " n"]:
        """(n,) scene of each frame, an index into :attr:`scene_names`."""
        raise NotImplementedError

    @property
    def scene_names(self) -> np.ndarray:
        """(s,) names of the scenes, in the source's order."""
        raise NotImplementedError

    @property
    def tokens(self) -> Sequence[str]:
        """Token of each frame."""
        raise NotImplementedError

    @property
    def scenes(self) -> list[str]:
        """Name of each frame's scene."""
        return self.scene_names[self.scene].tolist()

    def __len__(self) -> int:
        return len(self.scene)

    @overload
    def __getitem__(self, item: int) -> Frame: ...

    @overload
    def __getitem__(self, item: slice) -> "Frames": ...

    def __getitem__(self, item: int | slice) -> "Frame | Frames":
        if isinstance(item, slice):
            return self.take(np.arange(len(self))[item])
        return self.played(item, 1.0)

    def take(self, rows: Int[np.ndarray, " m"]) -> "Frames":
        """Select frames by their indices, in the given order."""
        raise NotImplementedError

    def classes_held(self, min_points: int) -> Bool[np.ndarray, "n C"]:
        """Mask of the classes of ``labels`` that each frame has ground-truth boxes of.

        Args:
            min_points: boxes with fewer lidar and radar points are ignored.
        """
        raise NotImplementedError

    def tally(self, min_points: int) -> Tally | None:
        """Count the ground-truth boxes that are used and left out; None if it is not known.

        Args:
            min_points: boxes with fewer lidar and radar points are left out.
        """
        return None

    def doubts(self) -> Findings:
        """Values that are physically implausible, see ``bev.data.checks.plausible``."""
        return Findings()

    @property
    def annotated(self) -> bool:
        """True if the frames have ground-truth boxes, used or not, or if that is not known."""
        return True

    def sweeps(self, item: int) -> Sequence[AdjacentFrame]:
        """Images between a key frame and the next one of its scene, in order of time.

        Empty if there are none, as by default, and for the last key frame of a scene.
        """
        return ()

    def played(self, item: int, rate: float) -> Frame:
        """Read a key frame as if its scene were played back at another rate.

        The velocities of the boxes are multiplied by the rate, and the times of adjacent frames are
        divided by it, see ``bev.data.adjacent``. If :attr:`Frame.shows_other_times` is false, no
        image of the frame reveals the rate.
        """
        raise NotImplementedError


class FrameSource:
    """Base class of opened sources.

    Args:
        data: settings that the source was opened with.

    Attributes:
        faults: None if a faulty frame is an error; a list receives one sentence per faulty frame,
            and such frames are left out (a data check lists all of them). A source may raise the
            error in either case.
    """

    faults: list[str] | None = None

    def __init__(self, data: "bev.data.settings.DataConfig") -> None:
        self.data = data

    def frames(self, split: str) -> Frames:
        """Key frames of a split, or of a split of a fold (``bev.data.folds``).

        Raises:
            DataError: if the split is unknown or empty, or a frame is invalid.
        """
        raise NotImplementedError

    def unknown_scenes(self, split: str) -> list[str]:
        """Scenes that a split names and the data do not contain."""
        return []

    def doubts(self, splits: Sequence[str]) -> Findings:
        """What a data check warns of beside the frames themselves; nothing by default.

        Args:
            splits: splits in use, which may be those of a fold.
        """
        return Findings()

    def training_frames(self) -> Frames:
        """Key frames of the fraction ``data.fraction`` of the training scenes.

        Raises:
            DataError: see :meth:`frames`; also if ``data.lidar`` is set and the frames have none.
        """
        data, frames = self.data, self.frames(self.data.splits[0])
        kept = keep_fraction(frames.scene, frames.scene_names, data.fraction, data.fraction_seed)
        frames = frames.take(kept)
        if data.lidar and frames[0].lidar_path is None:
            raise DataError(
                f"data.lidar is on and {type(data.source).__name__} has no lidar (sample"
                f" {frames.tokens[0]}); use a config without lidar (--data.no-lidar,"
                " --model.depth-supervision.weight 0)."
            )
        return frames


@dataclass(frozen=True)
class SourceConfig:
    """Base class of the settings of a data source, ``data.source``.

    A source defines :attr:`labels`, :attr:`cameras` and :meth:`frames`. Fields of a subclass are
    settings of that source, ``--data.source.NAME``. No file of data is read before :meth:`open`.
    """

    @property
    def labels(self) -> LabelSpace:
        """Classes, attributes and layers of the ground truth."""
        raise ConfigError(f"{type(self).__name__} does not define its label space (labels).")

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras, in the order of the image tensors."""
        raise ConfigError(f"{type(self).__name__} does not define its cameras (cameras).")

    def at(self, root: Path) -> "SourceConfig":
        """The settings for a folder of data, ``data.root``; by default the same for all.

        Called when the settings of the data are created. A source whose classes or cameras are
        those of the folder reads their small files here.
        """
        return self

    def splits(self, data: "bev.data.settings.DataConfig") -> tuple[str, str]:
        """Names of the default (training, validation) splits; folds use the scenes of both."""
        return "train", "val"

    def frames(self, data: "bev.data.settings.DataConfig", split: str) -> Sequence[Frame]:
        """Key frames of a split, the frames of a scene in order of time.

        Args:
            data: data settings; ``data.root`` is the folder of the data set. The caller applies
                the other settings (cameras, adjacent frames).
            split: one of :meth:`splits`, or another split that the source has.
        """
        raise ConfigError(f"{type(self).__name__} does not define its key frames (frames).")

    def polygons(
        self, data: "bev.data.settings.DataConfig", frames: Sequence[Frame]
    ) -> Callable[[Frame], Polygons]:
        """A function from a frame to the polygons around it, in its reference ego frame.

        Called if ``data.polygons.layers`` is not empty. The returned function may also return
        polygons of other layers. It is pickled if dataloader workers are not forked.

        Args:
            data: data settings.
            frames: frames that the function will be called with; data read by this method are
                shared by forked dataloader workers.
        """
        raise ConfigError(f"{type(self).__name__} does not define map polygons (polygons).")

    def open(self, data: "bev.data.settings.DataConfig") -> FrameSource:
        """Open the source; by default the opened source uses :meth:`frames`."""
        from bev.data.listed import ListedSource  # imports this module

        return ListedSource(data)


def check_source(source: Any) -> None:
    """Check that the settings of a source are complete, without reading files.

    Raises:
        ConfigError: names the missing or invalid part.
    """
    name = type(source).__name__
    if not isinstance(source, SourceConfig):
        raise ConfigError(f"data.source is a {name}, not a SourceConfig.")
    if not isinstance(source.labels, LabelSpace):
        kind = type(source.labels).__name__
        raise ConfigError(f"{name}.labels is a {kind}; it must be a property with a LabelSpace.")
    if not source.labels.classes:
        raise ConfigError(f"{name}.labels has no classes; define at least one.")
    cameras = source.cameras
    if not isinstance(cameras, tuple) or not all(isinstance(one, str) and one for one in cameras):
        raise ConfigError(
            f"{name}.cameras is {cameras!r}; it must be a property with a tuple of names."
        )
    check_cameras(f"{name}.cameras", cameras)


def check_cameras(where: str, cameras: Sequence[str]) -> None:
    """Check that a list of cameras is not empty and contains no camera twice.

    Raises:
        ConfigError: names the setting ``where`` and the camera.
    """
    if not cameras:
        raise ConfigError(f"{where} is empty; name at least one camera.")
    for camera in cameras:
        if cameras.count(camera) > 1:
            raise ConfigError(f"{where}: {camera!r} is named twice.")
