"""Segmentation training on a synthetic world with maps, its metrics, and its table of a study."""

import csv
import json
from dataclasses import replace

import pytest
import torch
from commands import call
from opened import opened
from report_page import read_page

from bev.data.dataset import KeyFrames
from bev.data.nuscenes.classes import NUSCENES
from bev.data.polygons import PolygonConfig
from bev.errors import DataError, TrainingError
from bev.evaluation.base import EvaluatedSplit
from bev.evaluation.predict import predict
from bev.lab.ablation.results import collect
from bev.lab.ablation.study import Run
from bev.lab.ablation.table import cells
from bev.models import CenterHeadConfig, SegmentationHeadConfig
from bev.training.checkpoint.loading import load_checkpoint
from bev.training.datamodule import make_loader
from bev.training.run import train
from bev.training.settings_check import check_settings
from bev.visualization.report.run import report_run

LAYERS = ("vehicle", "drivable_area", "divider")


@pytest.fixture(scope="module")
def segmenting(quick):
    """``quick`` with segmentation of vehicles and the street, without detection."""
    model = replace(
        quick.model, head=CenterHeadConfig(tasks=()), segmentation=SegmentationHeadConfig(LAYERS)
    )
    train_config = replace(quick.train, epochs=1, run_name="areas")
    data = replace(quick.data, polygons=PolygonConfig(LAYERS))
    return replace(quick, model=model, data=data, train=train_config)


@pytest.fixture(scope="module")
def finished(segmenting):
    return train(segmenting, finish=[report_run])


@pytest.mark.slow
def test_a_run_without_detection_reports_iou_alone(finished):
    folder, result = finished
    split = folder / "evaluation" / "synthetic_val"
    entry = json.loads((folder / "evaluation" / "history.jsonl").read_text())
    written = json.loads((split / "segmentation.json").read_text())["figures"]
    assert not result.classes and "NDS" not in entry
    for name in ("mIoU", "IoU_vehicle", "IoU_vehicle_visible", "IoU_divider"):
        assert entry[name] == written[name] == result.scalars()[name]
    assert 0 < entry["IoU_drivable_area"] <= 1
    with (folder / "metrics.csv").open() as file:
        (row,) = [row for row in csv.DictReader(file) if row["val/mIoU"]]
    assert float(row["val/IoU_vehicle"]) == pytest.approx(entry["IoU_vehicle"], rel=1e-5)
    best = json.loads((folder / "checkpoints" / "best.json").read_text())
    assert best["mIoU"] == pytest.approx(entry["mIoU"], rel=1e-5)
    page = read_page(folder / "report.html")
    assert page.figures["mIoU"] == pytest.approx(entry["mIoU"])
    assert "visibility 1 (0-40 %)" in page.summary["note"] and not page.summary["classes"]["rows"]
    assert page.summary["analysis"] is None and len(page.pictures["others"]) == 1
    assert not (split / "results_nusc.json").exists()
    assert len(list((folder / "pictures").glob("*.png"))) == 1


def test_a_checkpoint_gives_the_same_figures(finished, tmp_path):
    folder, result = finished
    config, model = load_checkpoint(folder / "checkpoints" / "best.ckpt")
    source = opened(config.data)
    frames = source.frames("synthetic_val")
    data = KeyFrames(frames, replace(config.data, batch_size=1), training=False)
    found = predict(model, make_loader(data), torch.device("cpu"))
    assert "head" not in found.evaluators
    assert set(found.evaluators["segmentation"].samples) == set(frames.tokens)
    again = found.compute(EvaluatedSplit(source, "synthetic_val", tmp_path)).scalars()
    assert again == pytest.approx(result.scalars(), abs=2e-3)  # trained in bf16


def test_vehicles_are_evaluated_without_the_map_expansion(finished, segmenting, tmp_path):
    """The evaluation command runs on the data set without ``maps``."""
    folder, result = finished
    for place in segmenting.data.root.iterdir():
        if place.name != "maps":
            (tmp_path / place.name).symlink_to(place)
    checkpoint = folder / "checkpoints" / "best.ckpt"
    given = ["evaluate.py", checkpoint, "--data.root", tmp_path, "--out", tmp_path]
    _, error = call(*given, code=1)
    assert "in evaluation with --data.layers and" in error
    call(*given, "--data.layers", "vehicle", "--opencv-figures")
    figures = json.loads((tmp_path / "segmentation.json").read_text())["figures"]
    opencv = {"IoU_vehicle_opencv", "IoU_vehicle_visible_opencv"}
    assert set(figures) == {"mIoU", "IoU_vehicle", "IoU_vehicle_visible"} | opencv
    assert figures["IoU_vehicle"] == pytest.approx(result.scalars()["IoU_vehicle"], abs=2e-3)


def test_the_ego_vehicle_drives_on_drivable_area(segmenting):
    """Dividers and vehicles lie on the drivable area, walkways beside it."""
    data = replace(segmenting.data, polygons=PolygonConfig((*LAYERS, "walkway")))
    frames = opened(data).frames("synthetic_train")
    grid = replace(segmenting.model.grid, x=(-40.0, 40.0, 0.5), y=(-40.0, 40.0, 0.5))
    head = SegmentationHeadConfig(data.polygons.layers)
    for training in (False, True):
        plain = replace(data, bev_augmentation=type(data.bev_augmentation)())
        samples = KeyFrames(frames, plain, training)
        for index in range(0, len(frames), 3):
            ground_truth = head.ground_truth(samples[index].polygons, grid, NUSCENES)[0]
            vehicle, road, divider, walkway = ground_truth.float()
            assert road[78:82, 78:82].all() and 0.05 < road.mean() < 0.7
            assert not (road * walkway).sum() > 0.05 * walkway.sum()
            assert (divider * road).sum() > 0.9 * divider.sum() > 0
            assert (vehicle * road).sum() > 0.5 * vehicle.sum()


def test_a_study_has_columns_of_iou_with_intervals(finished, segmenting):
    folder, result = finished
    runs = [Run(variant, segmenting) for variant in ("a", "b")]  # of one folder, so equal
    first, second = collect(runs, replicates=20)
    assert first.figures["mIoU"] == [pytest.approx(result.scalars()["mIoU"])]
    assert "NDS" not in first.figures and first.differences == {}
    assert first.headlines == ("mIoU",)
    gain = second.differences["IoU_vehicle_visible"]
    assert (gain.value, gain.low, gain.high) == (0, 0, 0)
    assert {"mIoU", "Δ mIoU", "IoU_vehicle", "Δ IoU_divider"} <= set(cells([first, second])[0])


def test_missing_layers_and_short_reach_are_refused(segmenting, tmp_path):
    blind = replace(segmenting, data=replace(segmenting.data, polygons=PolygonConfig(("vehicle",))))
    with pytest.raises(
        TrainingError, match="contain no drivable_area, divider; set --data.polygons"
    ):
        check_settings(blind)
    near = replace(segmenting.data, polygons=PolygonConfig(LAYERS, reach=40.0))
    with pytest.raises(TrainingError, match=r"--data\.polygons\.reach to at least 72 metres"):
        check_settings(replace(segmenting, data=near))
    frames = opened(segmenting.data).frames("synthetic_val")
    elsewhere = replace(segmenting.data, root=tmp_path)
    with pytest.raises(DataError, match=r"scene\.json, which is needed for the maps"):
        KeyFrames(frames, elsewhere, training=False)
