"""Predictions that the viewer shows: of a detector with its maps, and of other sources of boxes."""

from typing import NamedTuple

import torch

from bev.config import Experiment
from bev.data.batch import Batch
from bev.data.dataset import KeyFrames
from bev.data.frame import Frame
from bev.data.labels import LabelSpace
from bev.data.settings import DataConfig
from bev.data.source import Frames
from bev.geometry import Boxes3D, inverse_rigid
from bev.models import Detector
from bev.visualization.internals.run import internals_of
from bev.visualization.overlays import overlay
from bev.visualization.results.sources import BoxSource
from bev.visualization.viewer.contents import ENERGY, GroundMap
from bev.visualization.viewer.maps import energy_map, segmentation_maps


class Predicted(NamedTuple):
    """Predictions for one key frame.

    Attributes:
        boxes: predicted boxes in the reference ego frame.
        maps: pictures on the ground.
    """

    boxes: Boxes3D
    maps: tuple[GroundMap, ...] = ()


class Run:
    """Base class of predictions.

    Args:
        name: name for the viewer.
        labels: label space of the boxes.
    """

    def __init__(self, name: str, labels: LabelSpace) -> None:
        self.name, self.labels = name, labels

    def at(self, frame: Frame) -> Predicted:
        """Predictions for a key frame."""
        raise NotImplementedError


class BoxRun(Run):
    """Boxes of a results file or of a further detector.

    Args:
        name: name for the viewer.
        labels: label space of the boxes.
        source: the boxes.
    """

    def __init__(self, name: str, labels: LabelSpace, source: BoxSource) -> None:
        super().__init__(name, labels)
        self.source = source

    def at(self, frame: Frame) -> Predicted:
        return Predicted(self.source.boxes(frame))


class CheckpointRun(Run):
    """Boxes and maps of a detector, computed frame by frame.

    Args:
        name: name for the viewer.
        config: experiment of the detector.
        model: the detector, in evaluation mode.
        data: data settings.
        scene: key frames that it will be asked for, with the reference frame of ``data``.
    """

    def __init__(
        self, name: str, config: Experiment, model: Detector, data: DataConfig, scene: Frames
    ) -> None:
        super().__init__(name, config.model.label_space)
        self.model, self.batches = model, KeyFrames(scene, data, training=False)
        self.places = {token: place for place, token in enumerate(scene.tokens)}

    def at(self, frame: Frame) -> Predicted:
        batch: Batch = self.batches[self.places[frame.token]]
        batch = batch.to(next(self.model.parameters()).device)
        # The network's frame, which may be that of the lidar.
        own = self.batches.frames[self.places[frame.token]].global_from_ego
        ego_from_grid = inverse_rigid(frame.global_from_ego) @ own
        pose = None if torch.equal(own, frame.global_from_ego) else ego_from_grid
        internals = internals_of(self.model, batch)
        settings, boxes = self.model.config, Boxes3D.empty()
        maps: list[GroundMap] = []
        for name, head in settings.heads.items():
            added = overlay(head, internals.prediction.results[name], batch, settings)
            if added.boxes is not None:
                boxes = added.boxes.to("cpu").double()
                boxes = boxes if pose is None else boxes.transform(pose)
            if added.segmentation is not None:
                maps += segmentation_maps(name, added.segmentation, pose)
        encoded = internals.prediction.output.features.bev[0]
        parts = {"view transform": internals.view.bev[0], "BEV encoder": encoded}
        for name, features in parts.items():
            maps.append(energy_map(f"{ENERGY}: {name}", features, settings.grid, pose))
        return Predicted(boxes, tuple(maps))
