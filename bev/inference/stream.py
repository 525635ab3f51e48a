"""Detection in a stream of frames, whose image features are computed once."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bev.data.adjacent import AdjacentConfig, neighbours
from bev.data.batch import AdjacentViews, Batch, Views
from bev.data.frame import Frame
from bev.errors import ConfigError, DataError, shown
from bev.geometry import inverse_rigid, is_rigid
from bev.inference.detections import Detections
from bev.inference.inputs import Memory, Reading, matrix_of, number_of, read_frame
from bev.models import FeatureCache

if TYPE_CHECKING:
    from bev.inference.detector import BoxDetector

_SECONDS = {"key_frames": 0.5, "sweeps": 1 / 12, "seconds": 1.0}  # in nuScenes, by unit
_UNLIMITED = 2**30
_LATEST = 1e12  # seconds; later numbers are no times


@dataclass(frozen=True)
class _Past:
    """A frame of a stream whose features are cached: views without images, pose and time."""

    timestamp: int
    global_from_ego: Float[Tensor, "4 4"]
    views: Views


class DetectionStream:
    """Detector of boxes in the frames of one vehicle, in order of time.

    A temporal model joins each frame with earlier ones, of which the stream keeps the image
    features: every image passes through the backbone once. The earlier frames are those nearest to
    the times that the model was trained with, at any rate of frames; a key frame counts as half a
    second and a sweep as a twelfth. The stream forgets what it has at a cut: after a pause, when
    time goes back, or by :meth:`reset`. A single-frame model needs neither times nor poses.

    Each stream belongs to one thread; several streams of one detector may run in several threads.

    Args:
        detector: detector that started the stream.
        gap: longest time between two frames in seconds; after a longer one the stream starts anew.
        standing: the vehicle stands still, so frames have no pose.

    Raises:
        ConfigError: if the model joins later frames, which a stream does not have, or the gap is no
            time.
    """

    def __init__(
        self, detector: "BoxDetector", *, gap: float = 2.0, standing: bool = False
    ) -> None:
        if not gap > 0:
            raise ConfigError(f"gap is {gap}; pass the longest pause in seconds, above 0.")
        self.detector, self.gap, self.standing = detector, gap, standing
        adjacent = detector.config.data.adjacent
        if adjacent.following:
            raise ConfigError(
                f"Model {detector.name} joins later frames (data.adjacent.following ="
                f" {adjacent.following}), which a stream does not have yet; use a model without."
            )
        self._adjacent = AdjacentConfig(
            previous=adjacent.previous, step=adjacent.step * _SECONDS[adjacent.unit], unit="seconds"
        )
        self._temporal = detector.num_adjacent > 0
        self._count = 0
        self._names: tuple[str, ...] = ()
        self.reset()

    def reset(self) -> None:
        """Forget all earlier frames."""
        self._past: list[_Past] = []
        self._cache = FeatureCache(_UNLIMITED)

    def __len__(self) -> int:
        """Number of frames whose features are kept."""
        return len(self._past)

    def __call__(
        self,
        images: Any,
        cameras: Any,
        *,
        time: float | None = None,
        pose: Any = None,
        score: float = 0.3,
        channels: str = "rgb",
        white: float | None = None,
    ) -> Detections:
        """Detect the boxes of the next frame; the arguments of a detector, and two more.

        Args:
            images: image of each camera.
            cameras: calibrations of the cameras.
            time: time of the frame in seconds; a temporal model needs it.
            pose: (4, 4) ``global_from_ego``, the pose of the vehicle in any fixed frame, metres; a
                temporal model needs it unless the vehicle stands still.
            score: boxes with a lower score are left out.
            channels, white: see :meth:`BoxDetector.__call__`.

        Raises:
            DataError: if time or pose are missing, the cameras are others than before, or an image
                cannot be used.
        """
        token = f"frame {self._count}"
        frame, memory = read_frame(images, cameras, token, Reading(channels, white))
        if self._temporal and time is None:
            raise DataError(
                f"Model {self.detector.name} joins frames of several times; pass time=… in seconds"
                f" with {token}."
            )
        if time is not None:
            time = number_of(time, f"The time of {token}, in seconds,", -_LATEST, _LATEST)
        if pose is None and self._temporal and not self.standing:
            raise DataError(
                f"Model {self.detector.name} joins frames of several times; pass pose=…, the 4x4"
                f" global_from_ego, with {token}, or start the stream with standing=True if the"
                " vehicle does not move."
            )
        if pose is not None and self.standing:
            raise DataError(
                f"{token.capitalize()} has a pose, and the stream was started with standing=True;"
                " leave out one of the two."
            )
        frame = replace(
            frame,
            timestamp=0 if time is None else round(time * 1e6),
            global_from_ego=torch.eye(4).double() if pose is None else _pose(pose, token),
        )
        return replace(self.detect(frame, score, memory), time=time)

    def detect(self, frame: Frame, score: float = 0.3, memory: Memory | None = None) -> Detections:
        """Detect the boxes of the next frame.

        Args:
            frame: frame with images, calibrations, ``timestamp`` and ``global_from_ego``.
            score: boxes with a lower score are left out.
            memory: BGR images in memory, by the paths that stand for them in the frame.
        """
        return self.boxes_of(self.detector.batch_of(frame, memory), frame, score)

    def boxes_of(self, batch: Batch, frame: Frame, score: float = 0.3) -> Detections:
        """Detect the boxes of the next frame, prepared by :meth:`BoxDetector.batch_of`."""
        self._count += 1
        if not self._temporal:
            return self.detector.boxes_of(batch, [frame], score)[0]
        names = tuple(camera.name for camera in frame.cameras)
        self._cut(frame.timestamp)
        if self._past and names != self._names:
            raise DataError(
                f"Frame {frame.token} has the cameras {', '.join(names)}, and those before it"
                f" {', '.join(self._names)}; call reset() where the cameras change."
            )
        self._names = names
        views = replace(batch.views, names=[str(self._count)])
        empty = replace(views, images=views.images[..., :0, :0].clone())  # releases the images
        self._past.append(_Past(frame.timestamp, frame.global_from_ego, empty))
        batch = replace(batch, views=views, adjacent=self._earlier(frame))
        try:
            found = self.detector.boxes_of(batch, [frame], score, self._cache)[0]
        except BaseException:  # such as memory that is exhausted: the frame has no features
            self._past.pop()
            raise
        self._forget(frame.timestamp)
        return found

    def _cut(self, timestamp: int) -> None:
        """Drop the past at a cut; a frame of the time of the latest one takes its place."""
        if not self._past:
            return
        waited = timestamp - self._past[-1].timestamp
        if waited < 0 or waited > self.gap * 1e6:
            self.reset()
        elif waited == 0:
            self._past.pop()

    def _earlier(self, frame: Frame) -> list[AdjacentViews]:
        """Views of the frames that the model joins with the latest one."""
        times = np.array([past.timestamp for past in self._past], np.int64)
        ego_from_global = inverse_rigid(frame.global_from_ego)
        found = []
        for place in neighbours(times, len(times) - 1, self._adjacent):
            past = self._past[place]
            matrix = (ego_from_global @ past.global_from_ego).float()
            seconds = (past.timestamp - frame.timestamp) * 1e-6
            found.append(
                AdjacentViews(
                    **vars(past.views),
                    ego_from_adjacent=matrix.unsqueeze(0),
                    seconds=torch.tensor([seconds], dtype=torch.float32),
                )
            )
        return found

    def _forget(self, timestamp: int) -> None:
        """Drop frames that are earlier than any later frame will need."""
        farthest = timestamp + round(min(self._adjacent.offsets()) * 1e6)
        while len(self._past) > 1 and self._past[1].timestamp <= farthest:
            del self._past[0]
        self._cache.keep([past.views.names[0] for past in self._past])


def _pose(value: Any, token: str) -> Float[Tensor, "4 4"]:
    pose = matrix_of(value, 4)  # a copy: the caller may change its array for the next frame
    if pose is None or not is_rigid(pose):
        raise DataError(
            f"The pose of {token} is {shown(value)}; pass the 4x4 matrix global_from_ego, a"
            " rotation with a translation in metres."
        )
    return pose
