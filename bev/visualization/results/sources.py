"""Sources of predicted boxes, by sample: results files and detectors."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import torch

from bev.data.dataset import KeyFrames
from bev.data.frame import Frame
from bev.data.nuscenes.source import NuScenesConfig
from bev.data.settings import DataConfig
from bev.data.source import Frames
from bev.errors import ConfigError, SubmissionError
from bev.evaluation.detection.arithmetic import yaw
from bev.evaluation.detection.columns import BoxColumns
from bev.evaluation.nuscenes.results import read_results
from bev.evaluation.results_file import read_boxes
from bev.geometry import Boxes3D, inverse_rigid
from bev.models import Detector
from bev.visualization.prediction import predicted_boxes

NOTHING = Boxes3D.empty()


class BoxSource(ABC):
    """Predicted boxes of samples.

    Attributes:
        tokens: samples that have predictions, maybe none of them a box.
    """

    tokens: Collection[str]

    @abstractmethod
    def boxes(self, frame: Frame) -> Boxes3D:
        """Predicted boxes of one of these samples, in the reference ego frame of ``frame``."""


class ResultsFile(BoxSource):
    """Boxes of a results file that are above a score.

    The file is read once, sample by sample; only the boxes above the score are kept.

    Args:
        path: ``results_nusc.json`` of any program for data in nuScenes format, the ``results.json``
            of an evaluation for other data.
        data: settings of the data that it is of.
        tokens: samples that are needed.
        score: score threshold.

    Raises:
        SubmissionError: if the file cannot be used, see ``bev.evaluation.nuscenes.results`` and
            ``bev.evaluation.results_file``.
    """

    def __init__(self, path: Path, data: DataConfig, tokens: Sequence[str], score: float) -> None:
        self._boxes: dict[str, Boxes3D] = {}
        self._in_global = isinstance(data.source, NuScenesConfig)
        if self._in_global:
            columns, _ = read_results(path, frozenset(tokens), score)
            self.tokens = columns.tokens
            ends = np.searchsorted(columns.sample, np.arange(len(columns.tokens) + 1))
            for number, token in enumerate(columns.tokens):
                rows = np.arange(ends[number], ends[number + 1])
                if len(rows):
                    self._boxes[token] = to_boxes(columns.take(rows))
        else:
            found = read_boxes(path, data.source.labels)
            self._boxes = {token: boxes[boxes.score >= score] for token, boxes in found.items()}
            self.tokens = self._boxes.keys() & set(tokens)

    def boxes(self, frame: Frame) -> Boxes3D:
        boxes = self._boxes.get(frame.token, NOTHING)
        return boxes.transform(inverse_rigid(frame.global_from_ego)) if self._in_global else boxes


class DetectorBoxes(BoxSource):
    """Boxes that a detector predicts, above a score.

    Args:
        model: detector, on its device.
        data: settings of its data.
        frames: key frames, opened by these settings.
        score: score threshold.
        name: file of the model, for messages.
    """

    def __init__(
        self, model: Detector, data: DataConfig, frames: Frames, score: float, name: str
    ) -> None:
        self.tokens, self._name = frames.tokens, name
        self._model, self._score, self._frames = model, score, frames
        self._batches = KeyFrames(frames, data, training=False)
        self._places = {token: place for place, token in enumerate(frames.tokens)}

    def boxes(self, frame: Frame) -> Boxes3D:
        place = self._places[frame.token]
        batch = self._batches[place].to(next(self._model.parameters()).device)
        boxes = predicted_boxes(self._model.config, batch, self._model.predict(batch))
        if boxes is None:
            raise ConfigError(f"The model of {self._name} has no head that detects boxes; omit it.")
        boxes = boxes.to("cpu").double()
        own = self._frames[place].global_from_ego  # differs if its reference is the lidar
        boxes = boxes.transform(inverse_rigid(frame.global_from_ego) @ own)
        return boxes[boxes.score >= self._score]


def to_boxes(columns: BoxColumns) -> Boxes3D:
    """Boxes of columns, in their frame; float64."""
    return Boxes3D.make(
        torch.from_numpy(columns.translation),
        torch.from_numpy(columns.size[:, [1, 0, 2]].copy()),
        torch.from_numpy(yaw(columns.rotation)),
        torch.from_numpy(columns.velocity),
        torch.from_numpy(columns.label.astype(np.int64)),
        torch.from_numpy(columns.score),
        torch.from_numpy(columns.attribute.astype(np.int64)),
        torch.from_numpy(columns.visibility.astype(np.int64)),
    )


def shared_samples(
    frames: Frames, sources: Sequence[BoxSource], names: Sequence[str], split: str
) -> tuple[Frames, list[str]]:
    """Frames that every source has predictions for, and a sentence about each source without all.

    Args:
        frames: key frames of a split.
        sources: sources of predictions.
        names: files of the sources, for messages.
        split: name of the split, for messages.

    Raises:
        SubmissionError: if there is no such frame.
    """
    tokens, lacks = frames.tokens, []
    shared = np.ones(len(tokens), bool)
    for name, source in zip(names, sources, strict=True):
        known = set(source.tokens)
        has = np.array([token in known for token in tokens], bool)
        shared &= has
        if not has.all():
            first = tokens[int(np.argmin(has))]
            lacks.append(
                f"{name} lacks {int((~has).sum())} of the {len(tokens)} samples of split {split!r},"
                f" the first is {first}"
            )
    if not shared.any():
        raise SubmissionError(
            f"{'; '.join(lacks)}; no sample is left to draw. Name the split and version of the"
            " predictions, by --split and --data.version."
        )
    return frames.take(np.flatnonzero(shared)), [f"{one}; they are not drawn." for one in lacks]
