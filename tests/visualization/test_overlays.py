"""The overlay that each head adds to the picture of a sample."""

from dataclasses import dataclass, replace

import pytest
import torch
from specs import gt_batch

from bev.data.nuscenes.classes import LAYERS, NUSCENES
from bev.geometry import BevGrid, Boxes3D, Polygons
from bev.models import (
    CenterHeadConfig,
    DepthSupervisionConfig,
    DetectorConfig,
    HeadConfig,
    SegmentationHeadConfig,
)
from bev.visualization.overlays import Overlay, overlay
from bev.visualization.segmentation import SegmentationMaps

GRID = BevGrid(x=(-4.0, 4.0, 1.0), y=(-3.0, 3.0, 1.0), z=(-4.0, 4.0, 8.0))
SEGMENTATION = SegmentationHeadConfig(("drivable_area", "vehicle"))
MODEL = DetectorConfig(labels=NUSCENES, grid=GRID, segmentation=SEGMENTATION)


@pytest.fixture()
def batch():
    """A batch with a vehicle that covers two cells, and no road."""
    box = Boxes3D.make(
        torch.tensor([[1.0, 0.5, 0.0]]), torch.tensor([[1.8, 0.8, 1.0]]), torch.zeros(1)
    )
    return gt_batch([box], [Polygons.of_boxes(box, LAYERS.index("vehicle"))])


def test_maps_have_the_names_colours_and_ground_truth_of_their_layers(batch):
    logits = torch.full((1, 2, 6, 8), -1.0)
    logits[0, 0, 2, 3] = 1.0
    boxes, maps = overlay(SEGMENTATION, logits, batch, MODEL)
    colors = {layer.name: layer.color for layer in NUSCENES.layers}
    assert boxes is None and tuple(maps.layers) == SEGMENTATION.layers
    assert list(maps.colors) == [colors["drivable_area"], colors["vehicle"]]
    assert maps.predicted.nonzero().tolist() == [[0, 2, 3]]
    assert maps.ground_truth.nonzero().tolist() == [[1, 3, 4], [1, 3, 5]]
    alone = overlay(SEGMENTATION, None, batch, MODEL).segmentation
    assert alone.predicted is None and torch.equal(alone.ground_truth, maps.ground_truth)


def test_boxes_are_those_of_the_sample(batch):
    head = CenterHeadConfig()
    assert overlay(head, [batch.boxes[0]], batch, MODEL).boxes is batch.boxes[0]
    assert overlay(head, None, batch, MODEL) == Overlay()


def test_a_head_without_an_overlay_adds_nothing_and_a_registered_one_is_used(batch):
    @dataclass(frozen=True)
    class Own(HeadConfig):
        """Settings of a user-defined head."""

    assert overlay(DepthSupervisionConfig(), None, batch, MODEL) == Overlay()
    assert overlay(Own(), None, batch, MODEL) == Overlay()
    everywhere = SegmentationMaps(
        GRID, ["all"], [(1, 2, 3)], None, torch.ones(1, 6, 8, dtype=torch.bool)
    )
    overlay.register(Own, lambda config, decoded, batch, model: Overlay(segmentation=everywhere))
    assert overlay(Own(), None, batch, MODEL).segmentation is everywhere
    assert overlay(SEGMENTATION, None, batch, replace(MODEL)).segmentation is not everywhere
