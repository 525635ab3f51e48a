"""Intersections and unions, against figures worked out by hand; their sums over parts."""

from unittest.mock import Mock

import numpy as np
import pytest
import torch

from bev.data.nuscenes.classes import LAYERS
from bev.evaluation.depth import DepthErrors
from bev.evaluation.evaluation import Evaluation, Measures, Result
from bev.evaluation.segmentation import RULE, Overlaps, compare_maps
from bev.geometry import BevGrid, Boxes3D, Outlines
from bev.models import Detector, SegmentationHeadConfig

GRID = BevGrid(x=(0.0, 6.0, 1.0), y=(0.0, 4.0, 1.0), z=(0.0, 1.0, 1.0))
VEHICLE, ROAD = LAYERS.index("vehicle"), LAYERS.index("drivable_area")


def box(x: float, y: float, length: float, width: float, visibility: int = 0) -> Boxes3D:
    return Boxes3D.make(
        torch.tensor([[x, y, 0.0]]), torch.tensor([[length, width, 1.0]]), torch.zeros(1),
        visibility=torch.tensor([visibility]),
    )  # fmt: skip


BOTH = ("vehicle", "drivable_area")


def measured(samples=slice(None), least_visibility: int = 1, layers=BOTH) -> Overlaps:
    """Of two samples: 4 cells of vehicle in plain sight, 2 of one hardly visible, 12 of road."""
    vehicles = Boxes3D.cat([box(1.0, 1.0, 1.9, 1.9, 4), box(5.0, 0.5, 1.9, 0.9, 1)])
    road = Outlines.of_boxes(box(2.0, 1.5, 3.9, 2.9), ROAD)
    outlines = [Outlines.cat([road, Outlines.of_boxes(vehicles, VEHICLE)]), Outlines.empty()]
    logits = torch.full((2, 2, 4, 6), -0.1)
    logits[0, 0, 0, 1:5] = 0.1  # tells 4 cells: 1 of the first vehicle, 1 of the second
    logits[0, 1, :2] = 5.0  # tells 12 cells, 8 of them road
    logits[1, 0, 3, 3] = 9.0  # tells 1 cell where there is nothing
    logits[1, 0, 3, 4] = 0.0  # is not above 0
    settings = {"least_visibility": least_visibility}
    head = SegmentationHeadConfig(BOTH, **settings).build(4, GRID)
    return compare_maps(logits[samples], outlines[samples], head, ["a", "b"][samples], layers)


EXPECTED = {"IoU_vehicle": 2 / 9, "IoU_vehicle_visible": 1 / 8, "IoU_drivable_area": 0.5}


def test_figures_by_hand():
    found = measured()
    assert found.names == tuple(EXPECTED)
    assert found.samples["a"].tolist() == [[2, 8], [1, 7], [8, 16]]
    assert found.samples["b"].tolist() == [[0, 1], [0, 1], [0, 0]]
    assert found.scalars() == pytest.approx({"mIoU": (2 / 9 + 0.5) / 2, **EXPECTED})


def test_layers_without_truth_are_not_compared():
    vehicles = {"IoU_vehicle": 2 / 9, "IoU_vehicle_visible": 1 / 8}
    assert measured(layers=["vehicle"]).scalars() == pytest.approx({"mIoU": 2 / 9, **vehicles})
    road = measured(layers=["drivable_area", "ped_crossing"])
    assert road.scalars() == {"mIoU": 0.5, "IoU_drivable_area": 0.5}
    assert measured(layers=["ped_crossing"]).scalars() == {}


def test_the_mean_takes_vehicles_by_the_truth_that_was_trained_on():
    strict = measured(least_visibility=2).scalars()
    assert strict == pytest.approx({"mIoU": (1 / 8 + 0.5) / 2, **EXPECTED})
    assert (
        Result(None, strict).note == RULE and "IoU_vehicle_visible" in Result(None, strict).text()
    )
    assert Result(None, {"depth_rmse": 1.0}).note == ""


def test_parts_add_up_to_the_whole():
    parts = [Measures(overlaps=measured(slice(i, i + 1))) for i in range(2)]
    assert sum(parts, Measures()).scalars() == measured().scalars()
    depth = DepthErrors(1.0, 4.0, 1)
    both = Measures(depth) + parts[0] + parts[1]
    assert both.scalars() == {"depth_abs_rel": 1.0, "depth_rmse": 2.0, **measured().scalars()}
    assert Measures().scalars() == {}


def test_processes_add_up_to_the_whole(monkeypatch):
    """What rank 0 gathers of two ranks is what one process measures: to the last cell."""
    found = Evaluation(Mock(spec=Detector), BOTH)
    found.rows, found.measures = {"a": []}, Measures(overlaps=measured(slice(0, 1)))
    other = {"b": []}, Measures(overlaps=measured(slice(1, 2)))

    def gather(own, parts):
        parts[:] = [own, other]

    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 0)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.gather_object", gather)
    found.gather()
    assert set(found.rows) == {"a", "b"}
    assert found.measures.scalars() == measured().scalars()


def test_a_sample_drawn_twice_counts_twice():
    found = measured()
    assert found.scores(("a", "b"), np.array([1, 1])) == found.scalars()
    assert found.scores(("b", "a"), np.array([3, 2]))["IoU_vehicle"] == pytest.approx(4 / 19)
    # Nothing there and nothing told.
    assert found.scores(("a", "b"), np.array([0, 1]))["IoU_drivable_area"] == 0


def test_what_is_written_is_read_again(tmp_path):
    found = measured()
    found.write(tmp_path / "evaluation")
    again = Overlaps.read(tmp_path / "evaluation")
    assert again.scalars() == found.scalars() and again.names == found.names
    assert Overlaps.read(tmp_path).scalars() == {}
