"""The one interface of all data sources: a label space, cameras, and the key frames of splits.

The idea: a simple source gives its key frames, ``SourceConfig.frames``, and nothing else; whatever
the settings ask for (cameras, adjacent frames, folds, fractions, sampling) is made of these, see
``bev.data.listed``. A source with tables of its own opens as a :class:`FrameSource` of its own, as
nuScenes does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Int

from bev.data.folds import keep_fraction
from bev.data.frame import Frame
from bev.data.labels import LabelSpace
from bev.errors import ConfigError, DataError
from bev.geometry import Polygons

if TYPE_CHECKING:
    import bev.data.settings


class Frames(Sequence[Frame]):
    """Key frames of a source, each made when it is asked for; those of a scene in order of time.

    A slice is of the same kind.

    Attributes:
        labels: of their ground truth.
        scene: (n,) the scene of each frame, a place in ``scene_names``.
        scene_names: (s,) names of scenes, in the source's order.
        tokens: name of each frame.
    """

    labels: LabelSpace
    scene: Int[np.ndarray, " n"]
    scene_names: np.ndarray
    tokens: Sequence[str]

    @property
    def scenes(self) -> list[str]:
        """The name of each frame's scene."""
        return self.scene_names[self.scene].tolist()

    def __len__(self) -> int:
        return len(self.scene)

    def __getitem__(self, item: int | slice) -> "Frame | Frames":
        if isinstance(item, slice):
            return self.take(np.arange(len(self))[item])
        return self.played(item, 1.0)

    def take(self, rows: Int[np.ndarray, " m"]) -> "Frames":
        """The frames of these places, in this order."""
        raise NotImplementedError

    def classes_held(self, min_points: int) -> Bool[np.ndarray, "n C"]:
        """Which classes of ``labels`` each frame holds.

        Args:
            min_points: boxes with fewer lidar and radar points do not count.
        """
        raise NotImplementedError

    def played(self, item: int, rate: float) -> Frame:
        """A key frame as it would be if its scene were played so many times as fast.

        The velocities of its boxes are so many times those of the ground truth, and the times of
        its adjacent frames are given accordingly, see ``bev.data.adjacent``. Where
        :attr:`Frame.shows_other_times` is false, nothing shows the rate.
        """
        raise NotImplementedError


class FrameSource:
    """Base of opened sources.

    Args:
        data: the settings that it was opened with.
    """

    def __init__(self, data: "bev.data.settings.DataConfig") -> None:
        self.data = data

    @property
    def annotated(self) -> bool:
        """Whether there is ground truth to score predictions by."""
        return True

    def frames(self, split: str) -> Frames:
        """Key frames of a split, or of a fold's (``bev.data.folds``).

        Raises:
            DataError: where the split is unknown or empty, or a frame is not as it must be.
        """
        raise NotImplementedError

    def training_frames(self) -> Frames:
        """Key frames to train on: of ``data.fraction`` of the training split's scenes.

        Raises:
            DataError: see :meth:`frames`; and where lidar is asked for and the frames have none.
        """
        data, frames = self.data, self.frames(self.data.splits[0])
        kept = keep_fraction(frames.scene, frames.scene_names, data.fraction, data.fraction_seed)
        frames = frames.take(kept)
        if data.lidar and frames[0].lidar_path is None:
            raise DataError(
                f"data.lidar is on and {type(data.source).__name__} has no lidar (sample"
                f" {frames.tokens[0]}); use a config that needs none (--data.no-lidar,"
                " --model.depth-supervision.weight 0)."
            )
        return frames


@dataclass(frozen=True)
class SourceConfig:
    """Common base of the sources' settings, ``data.source``.

    A source gives :attr:`labels`, :attr:`cameras` and :meth:`frames`; its fields are settings of
    its own, ``--data.source.NAME``. Nothing is read before :meth:`open`.
    """

    @property
    def labels(self) -> LabelSpace:
        """Classes, attributes and layers of its ground truth."""
        raise ConfigError(f"{type(self).__name__} does not give its label space (labels).")

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of its cameras, in the order that they are served in."""
        raise ConfigError(f"{type(self).__name__} does not name its cameras (cameras).")

    def splits(self, data: "bev.data.settings.DataConfig") -> tuple[str, str]:
        """Names of the usual (training, validation) splits; folds deal out the scenes of both."""
        return "train", "val"

    def frames(self, data: "bev.data.settings.DataConfig", split: str) -> Sequence[Frame]:
        """Key frames of a split, those of a scene in the order of time.

        Args:
            data: ``data.root`` is the folder of the data set. What else it asks for (cameras,
                adjacent frames) is seen to by the caller.
            split: a name as of :meth:`splits`, or another one that the source has.
        """
        raise ConfigError(f"{type(self).__name__} does not give its key frames (frames).")

    def polygons(
        self, data: "bev.data.settings.DataConfig", frames: Sequence[Frame]
    ) -> Callable[[Frame], Polygons]:
        """A function from a frame to the areas around it, in its reference ego frame.

        Asked for where ``data.polygons.layers`` names some; areas of other layers may be among
        them. It is pickled where loader processes are not forked.

        Args:
            frames: that the function will be called with; what is read here is shared by the loader
                processes.
        """
        raise ConfigError(f"{type(self).__name__} does not give the polygons of areas (polygons).")

    def open(self, data: "bev.data.settings.DataConfig") -> FrameSource:
        """The source, opened; a simple one is made of :meth:`frames`."""
        from bev.data.listed import ListedSource  # which needs this module

        return ListedSource(data)


def check_source(source: Any) -> None:
    """Refuse a source that misses a part; nothing is read for that.

    Raises:
        ConfigError: names the part.
    """
    name = type(source).__name__
    if not isinstance(source, SourceConfig):
        raise ConfigError(f"data.source is a {name}, not a SourceConfig.")
    if not isinstance(source.labels, LabelSpace):
        kind = type(source.labels).__name__
        raise ConfigError(f"{name}.labels is a {kind}, not a LabelSpace; give one as a property.")
    if not source.labels.classes:
        raise ConfigError(f"{name}.labels has no classes; name at least one.")
    cameras = source.cameras
    if not isinstance(cameras, tuple) or not all(isinstance(one, str) and one for one in cameras):
        raise ConfigError(f"{name}.cameras is {cameras!r}; give a tuple of names as a property.")
    check_cameras(f"{name}.cameras", cameras)


def check_cameras(where: str, cameras: Sequence[str]) -> None:
    """Refuse no cameras, and a camera that is named twice.

    Raises:
        ConfigError: names it.
    """
    if not cameras:
        raise ConfigError(f"{where} is empty; name at least one camera.")
    for camera in cameras:
        if cameras.count(camera) > 1:
            raise ConfigError(f"{where}: {camera!r} is named twice.")
