"""A trained model that turns images and calibrations into boxes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bev.config import Experiment
from bev.data.adjacent import ALONE
from bev.data.batch import AdjacentViews, Batch, collate
from bev.data.dataset import KeyFrames
from bev.data.frame import CameraFrame, Frame
from bev.data.images.arrays import decoder
from bev.data.labels import LabelSpace
from bev.data.polygons import PolygonConfig
from bev.data.settings import DataConfig
from bev.errors import ConfigError
from bev.inference.detections import Detections
from bev.inference.inputs import Memory, Reading, is_frame, listed, number_of, read_frame, rigs_of
from bev.inference.prepare import box_heads, prepare_for_inference
from bev.inference.stream import DetectionStream
from bev.machine import default_device
from bev.models import Detector, FeatureCache
from bev.models.weights.loading import first_line


def load_detector(
    source: str | Path,
    device: str | torch.device | None = None,
    flip_tta: bool = False,
    *,
    keep_memory: bool = False,
) -> "BoxDetector":
    """Load a trained model for detection on images of one's own.

    The model is prepared for inference, see :func:`bev.inference.prepare.prepare_for_inference`.

    Args:
        source: checkpoint or exported weights, or the name of a shipped model, such as
            "synthetic".
        device: device of the model, such as "cuda:1"; by default the first of CUDA, Apple's GPU and
            the CPU.
        flip_tta: average the outputs of the images and of their mirror images.
        keep_memory: on a CPU, let the process keep freed memory, which is faster; this changes the
            whole process, see :func:`bev.machine.keep_freed_memory`.

    Raises:
        CheckpointError: if the file is missing, damaged or not a checkpoint of bevlab.
        ConfigError: if the model predicts no boxes in the ego frame, or the device cannot be used.
    """
    from bev.training.checkpoint import load_checkpoint

    config, model = load_checkpoint(Path(source), flip_tta)
    try:
        model = model.to(device or default_device())
    except (RuntimeError, AssertionError) as error:  # of names, and of a PyTorch without CUDA
        raise ConfigError(
            f"Device {device} cannot be used ({first_line(error)}); name another, such as cpu."
        ) from error
    detector = BoxDetector(config, model, str(source))
    prepare_for_inference(model, heads=box_heads(model), keep_memory=keep_memory)
    return detector


class BoxDetector:
    """Detector of boxes in images of calibrated cameras.

    It keeps no state between calls, so threads may share it. Images are a list in the order of the
    cameras, or a dictionary by their names; each is a path, or an (H, W, 3) array, tensor or PIL
    image. Cameras are a ``Rig`` (``bev.data.rig``), the path of a rig file, or a sequence of
    objects with ``name``, ``intrinsics`` (3, 3), ``ego_from_camera`` (4, 4) and, if known, ``size``
    (height, width) and ``lens``, such as ``bev.data.frame.CameraFrame``; their number and names are
    free.

    Args:
        config: experiment of the model.
        model: trained model in evaluation mode.
        name: name of the model, for messages.

    Raises:
        ConfigError: if the model predicts no boxes, or not in the ego frame.
    """

    def __init__(self, config: Experiment, model: Detector, name: str) -> None:
        self.config, self.model, self.name = config, model, name
        if config.data.reference != "ego":
            raise ConfigError(
                f"Model {name} predicts in the frame of the {config.data.reference}, of which a rig"
                " has no pose; use a model with data.reference ego."
            )
        if not box_heads(model):
            raise ConfigError(
                f"Model {name} predicts no boxes (its heads are"
                f" {', '.join(config.model.heads)}); use one with a detection head."
            )

    @property
    def labels(self) -> LabelSpace:
        """Label space of the boxes: names of classes and attributes."""
        return self.config.model.label_space

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next(self.model.parameters()).device

    @property
    def num_adjacent(self) -> int:
        """Number of other moments that the model uses for each frame; 0 for a single-frame model.

        Only a stream has them; elsewhere the frame itself takes their place, as in training at the
        start of a scene.
        """
        return self.config.model.temporal.num_adjacent

    def __call__(
        self,
        images: Any,
        cameras: Any,
        *,
        score: float = 0.3,
        channels: str = "rgb",
        white: float | None = None,
    ) -> Any:
        """Detect the boxes of one frame, or of a batch of frames.

        Args:
            images: images of one frame, or a sequence of frames, which are computed as one batch.
            cameras: calibration of all frames, or a sequence of one for each frame.
            score: boxes with a lower score are left out.
            channels: order of the channels of images in memory, "rgb" or "bgr"; OpenCV's are "bgr".
            white: number of full brightness of images in memory; by default 255 for uint8 and 1 for
                floating-point numbers; other types need it.

        Returns:
            ``Detections`` of the frame, or a list of them.

        Raises:
            DataError: if an image cannot be used or contradicts its calibration; names the camera.
        """
        reading, images = Reading(channels, white), listed(images)
        if is_frame(images):
            frame, arrays = read_frame(images, cameras, "frame", reading)
            return self.detect([frame], score, arrays)[0]
        each = rigs_of(cameras, len(images))
        frames: list[Frame] = []
        memory: dict[Path, Any] = {}
        for number, (own, rig) in enumerate(zip(images, each, strict=True)):
            frame, arrays = read_frame(own, rig, f"frame {number}", reading)
            frames.append(frame)
            memory |= arrays
        return self.detect(frames, score, memory)

    def detect(
        self,
        frames: Sequence[Frame],
        score: float = 0.3,
        memory: Memory | None = None,
    ) -> list[Detections]:
        """Detect the boxes of frames in one batch, each without other moments.

        Args:
            frames: frames with images and calibrations.
            score: boxes with a lower score are left out.
            memory: BGR images in memory, by the paths that stand for them in ``frames``.
        """
        batch = collate([self.batch_of(frame, memory) for frame in frames])
        return self.boxes_of(batch, frames, score)

    def boxes_of(
        self, batch: Batch, frames: Sequence[Frame], score: float, cache: FeatureCache | None = None
    ) -> list[Detections]:
        """Detect the boxes of a batch of prepared frames, see :meth:`batch_of`."""
        score = number_of(score, "score", 0, 1)
        found = self.model.detect(batch.to(self.device), cache)
        return [
            Detections(boxes[boxes.score >= score], self.labels, frame.token)
            for boxes, frame in zip(found, frames, strict=True)
        ]

    def stream(self, **settings: Any) -> DetectionStream:
        """Start a stream of frames in order of time; see :class:`DetectionStream`."""
        return DetectionStream(self, **settings)

    def batch_of(self, frame: Frame, memory: Memory | None = None) -> Batch:
        """Input of the network for one frame, whose other moments are the frame itself."""
        data = inference_data(self.config.data, frame.cameras)
        frames = KeyFrames([replace(frame, adjacent=())], data, training=False)
        if memory:
            frames.decoded = decoder(memory)
        batch = collate([frames[0]])
        own = AdjacentViews(
            **vars(batch.views), ego_from_adjacent=torch.eye(4)[None], seconds=torch.zeros(1)
        )
        return replace(batch, adjacent=[own] * self.num_adjacent)


def inference_data(data: DataConfig, cameras: Sequence[CameraFrame]) -> DataConfig:
    """Data settings for images of these cameras alone: no lidar, maps or cache."""
    return replace(
        data, cameras=tuple(camera.name for camera in cameras), drop_cameras=0, adjacent=ALONE,
        lidar=False, polygons=PolygonConfig(), image_cache=0.0,
    )  # fmt: skip
