"""Intersections and unions, compared with worked values, and their sums over parts."""

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from specs import gt_batch

from bev.data.nuscenes.classes import LAYERS, NUSCENES
from bev.data.settings import DataConfig, PolygonConfig
from bev.data.source import Frames, FrameSource
from bev.errors import NoGroundTruthError
from bev.evaluation.base import EvaluatedSplit
from bev.evaluation.depth import DepthErrors
from bev.evaluation.evaluation import Evaluation
from bev.evaluation.scores import Scores
from bev.evaluation.segmentation import RULE, SegmentationSums
from bev.evaluation.table import Result
from bev.geometry import BevGrid, Boxes3D, Polygons
from bev.models import DetectorConfig, SegmentationHeadConfig

GRID = BevGrid(x=(0.0, 6.0, 1.0), y=(0.0, 4.0, 1.0), z=(0.0, 1.0, 1.0))
VEHICLE, ROAD = LAYERS.index("vehicle"), LAYERS.index("drivable_area")


def box(x: float, y: float, length: float, width: float, visibility: int = 0) -> Boxes3D:
    return Boxes3D.make(
        torch.tensor([[x, y, 0.0]]), torch.tensor([[length, width, 1.0]]), torch.zeros(1),
        visibility=torch.tensor([visibility]),
    )  # fmt: skip


BOTH = ("vehicle", "drivable_area")


def settings(min_visibility: int = 1, layers=BOTH) -> tuple[DetectorConfig, DataConfig]:
    """A model with both layers, and data with the given layers."""
    head = SegmentationHeadConfig(BOTH, min_visibility=min_visibility)
    model = DetectorConfig(labels=NUSCENES, grid=GRID, segmentation=head)
    return model, DataConfig(polygons=PolygonConfig(layers))


def measured(samples=slice(None), **chosen) -> SegmentationSums:
    """Sums of two samples: 4 cells of a visible vehicle, 2 of a barely visible one, 12 of road."""
    vehicles = Boxes3D.cat([box(1.0, 1.0, 1.9, 1.9, 4), box(5.0, 0.5, 1.9, 0.9, 1)])
    road = Polygons.of_boxes(box(2.0, 1.5, 3.9, 2.9), ROAD)
    polygons = [Polygons.cat([road, Polygons.of_boxes(vehicles, VEHICLE)]), Polygons.empty()]
    logits = torch.full((2, 2, 4, 6), -0.1)
    logits[0, 0, 0, 1:5] = 0.1  # predicts 4 cells: 1 of the first vehicle, 1 of the second
    logits[0, 1, :2] = 5.0  # predicts 12 cells, 8 of them road
    logits[1, 0, 3, 3] = 9.0  # predicts 1 cell without ground truth
    logits[1, 0, 3, 4] = 0.0  # is not above 0
    model, data = settings(**chosen)
    found = SegmentationSums(model.segmentation, "segmentation", model, data)
    batch = gt_batch(polygons=polygons[samples])
    views = replace(batch.views, names=["a", "b"][samples])
    found.update(logits[samples], replace(batch, views=views))
    return found


class NoFrames(Frames):
    """Frames that only state whether there is ground truth."""

    annotated = None

    def __init__(self, annotated: bool) -> None:
        self.annotated = annotated

    def __len__(self) -> int:
        return 0


def split(folder, annotated: bool = True) -> EvaluatedSplit:
    """A split of a source that only states whether there is ground truth."""
    source = Mock(spec=FrameSource, data=DataConfig())
    source.frames.return_value = NoFrames(annotated)
    return EvaluatedSplit(source, "val", folder)


def figures(found: SegmentationSums) -> dict[str, float]:
    """Metrics of all samples."""
    return found.figures(sum(found.samples.values()))


EXPECTED = {"IoU_vehicle": 2 / 9, "IoU_vehicle_visible": 1 / 8, "IoU_drivable_area": 0.5}


def test_metrics_of_a_worked_case():
    found = measured()
    assert tuple(name for name, _, _ in found.rows) == tuple(EXPECTED)
    assert found.samples["a"].tolist() == [[2, 8], [1, 7], [8, 16]]
    assert found.samples["b"].tolist() == [[0, 1], [0, 1], [0, 0]]
    assert figures(found) == pytest.approx({"mIoU": (2 / 9 + 0.5) / 2, **EXPECTED})


def test_layers_without_ground_truth_are_not_compared():
    vehicles = {"IoU_vehicle": 2 / 9, "IoU_vehicle_visible": 1 / 8}
    assert figures(measured(layers=("vehicle",))) == pytest.approx({"mIoU": 2 / 9, **vehicles})
    road = measured(layers=("drivable_area", "ped_crossing"))
    assert figures(road) == {"mIoU": 0.5, "IoU_drivable_area": 0.5}
    assert figures(measured(layers=("ped_crossing",))) == {}


def test_the_mean_uses_the_vehicle_visibility_of_training(tmp_path):
    scores = measured(min_visibility=2).compute(split(tmp_path))
    assert scores.figures == pytest.approx({"mIoU": (1 / 8 + 0.5) / 2, **EXPECTED})
    result = Result({"segmentation": scores})
    assert result.note == RULE and "IoU_vehicle_visible" in result.text()
    assert Result({"depth": Scores({"depth_rmse": 1.0})}).note == ""


def test_sums_of_parts_add_up():
    whole, first, second = measured(), measured(slice(0, 1)), measured(slice(1, 2))
    first.merge([first.state(), second.state()])
    assert set(first.samples) == {"a", "b"} and figures(first) == figures(whole)


def test_sums_of_processes_add_up(monkeypatch, tmp_path):
    """Rank 0 gathers from two ranks exactly the cells that one process measures."""
    found = Evaluation(*settings())
    found.evaluators["head"].records = {"a": []}
    found.evaluators["segmentation"] = measured(slice(0, 1))
    found.evaluators["depth_supervision"].errors = DepthErrors(1.0, 4.0, 1)
    other = {
        "head": {"b": []},
        "segmentation": measured(slice(1, 2)).state(),
        "depth_supervision": DepthErrors(1.0, 4.0, 1),
    }

    def gather(own, parts):
        parts[:] = [own, other]

    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 0)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.gather_object", gather)
    found.gather()
    assert set(found.evaluators["head"].records) == {"a", "b"}
    assert figures(found.evaluators["segmentation"]) == figures(measured())
    depth = found.evaluators["depth_supervision"].compute(split(tmp_path))
    assert depth.figures == {"depth_abs_rel": 1.0, "depth_rmse": 2.0}


def test_a_sample_drawn_twice_counts_twice(tmp_path):
    found = measured()
    found.compute(split(tmp_path))
    resampled = found.resampled(split(tmp_path))
    assert resampled.tokens == ("a", "b") and resampled.names == ("mIoU", *EXPECTED)

    def drawn(*weights):
        return dict(zip(resampled.names, resampled.score(np.array(weights)), strict=True))

    assert drawn(1, 1) == figures(found)
    assert drawn(2, 3)["IoU_vehicle"] == pytest.approx(4 / 19)
    # No ground truth and no predictions.
    assert drawn(0, 1)["IoU_drivable_area"] == 0


def test_written_scores_are_read_back(tmp_path):
    found = measured()
    scores = found.compute(split(tmp_path / "evaluation"))
    again = SegmentationSums(found.config, "segmentation", found.model, found.data)
    assert again.read(tmp_path / "evaluation") == scores
    assert again.read(tmp_path) == Scores() and again.resampled(split(tmp_path)) is None


def test_vehicles_without_annotations_are_not_scored(tmp_path):
    with pytest.raises(NoGroundTruthError, match="no annotations, so vehicles cannot be scored"):
        measured().compute(split(tmp_path, annotated=False))
    road = measured(layers=("drivable_area",)).compute(split(tmp_path, annotated=False))
    assert road.figures["mIoU"] == 0.5


def test_figures_of_filled_polygons_say_so(tmp_path):
    """The first vehicle fills x 0-2 and y 0-2, the second x 4-5 and y 0-1: 9 + 4 cells.

    Of the 4 predicted cells in row 0, x 1, 2 and 4 are filled; one predicted cell of the other
    sample is not.
    """
    model, data = settings()
    head = replace(model.segmentation, opencv_figures=True)
    found = SegmentationSums(head, "segmentation", model, data)
    plain = measured()
    vehicles = Boxes3D.cat([box(1.0, 1.0, 1.9, 1.9, 4), box(4.4, 0.6, 1.1, 0.9, 1)])
    logits = torch.full((1, 2, 4, 6), -0.1)
    logits[0, 0, 0, 1:5] = 0.1
    polygons = [Polygons.of_boxes(vehicles, VEHICLE)]
    found.update(logits, gt_batch(polygons=polygons))
    names = [name for name, _, _ in found.rows]
    opencv = ["IoU_vehicle_opencv", "IoU_vehicle_visible_opencv"]
    assert names == [*list(EXPECTED)[:2], *opencv, "IoU_drivable_area"]
    sums = dict(zip(names, found.samples["0"].tolist(), strict=True))
    assert sums["IoU_vehicle_opencv"] == [3, 14]
    assert sums["IoU_vehicle_visible_opencv"] == [2, 11]
    assert found.averaged == plain.averaged
    assert "filled by OpenCV" in found.note and "OpenCV" not in plain.note
    note = Result({"segmentation": found.compute(split(tmp_path))}).note
    assert note == found.note
