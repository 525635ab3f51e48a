"""The table of metrics, the precision-recall curves, and the report page."""

import math
import re

import cv2
import numpy as np
import pytest

from bev.data.nuscenes.classes import CLASSES
from bev.evaluation.nuscenes.official import Metrics
from bev.evaluation.table import Result
from bev.visualization.report.curves import draw_pr_curves
from bev.visualization.report.page import write_page

ERRORS = ("trans_err", "scale_err", "orient_err", "vel_err", "attr_err")


@pytest.fixture
def metrics() -> Metrics:
    class_errors = {
        name: {error: 0.1 * i + 0.01 * j for j, error in enumerate(ERRORS)}
        for i, name in enumerate(CLASSES)
    }
    class_errors["traffic_cone"]["vel_err"] = math.nan
    return Metrics.from_summary(
        {
            "mean_ap": 0.1234,
            "nd_score": 0.2345,
            "tp_errors": dict(zip(ERRORS, (0.61, 0.32, 0.53, 1.24, 0.25), strict=True)),
            "mean_dist_aps": {name: i / 10 for i, name in enumerate(CLASSES)},
            "label_aps": {name: {"0.5": 0.0, "4.0": 0.5} for name in CLASSES},
            "label_tp_errors": class_errors,
        }
    )


def details(height: float = 0.8) -> dict:
    recall = np.linspace(0, 1, 101)
    curve = {"recall": recall.tolist(), "precision": (height * (recall < 0.6)).tolist()}
    return {f"{name}:{at}": curve for name in CLASSES for at in (0.5, 1.0, 2.0, 4.0)}


def test_the_table_shows_every_figure_in_its_column(metrics):
    lines = Result({"head": metrics.scores()}).text().splitlines()
    head = dict(zip(lines[0].split(), map(float, lines[1].split()), strict=True))
    assert head == {
        "mAP": 0.1234, "NDS": 0.2345, "mATE": 0.61, "mASE": 0.32, "mAOE": 0.53, "mAVE": 1.24,
        "mAAE": 0.25,
    }  # fmt: skip
    assert lines[3].split() == ["class", "AP", "ATE", "ASE", "AOE", "AVE", "AAE"]
    assert lines[5].split() == ["truck", "0.100", "0.100", "0.110", "0.120", "0.130", "0.140"]
    assert lines[13].split()[0] == "traffic_cone"
    assert lines[13].split()[5] == "-"
    assert len({len(line) for line in lines[3:]}) == 1


def test_curves_show_the_given_precision(tmp_path):
    high = cv2.imread(str(draw_pr_curves(details(0.8), tmp_path / "new" / "high.png")))
    low = cv2.imread(str(draw_pr_curves(details(0.4), tmp_path / "low.png")))
    assert high.shape == low.shape
    assert high.shape[1] > 1000
    assert (high != low).any()


def test_the_page_contains_figures_config_and_relative_links(metrics, tmp_path):
    folder = tmp_path / "evaluation" / "mini_val"
    pictures = [tmp_path / "pictures" / "first one.png", folder / "sheets" / "b.png"]
    page = write_page(
        folder,
        title="lss <r50>",
        notice="A rehearsal",
        result=Result({"head": metrics.scores()}),
        curves=draw_pr_curves(details(), folder / "pr_curves.png"),
        pictures=pictures,
        config_text="lr: 0.1 < 1",
    )
    text = page.read_text()
    assert page == folder / "report.html"
    assert re.findall(r'src="([^"]+)"', text) == [
        "pr_curves.png",
        "../../pictures/first%20one.png",
        "sheets/b.png",
    ]
    assert "lss &lt;r50&gt;" in text and "<r50>" not in text
    assert "lr: 0.1 &lt; 1" in text
    assert "A rehearsal" in text
    assert "0.123" in text and "construction_vehicle" in text
    assert str(tmp_path) not in text


def test_a_page_without_figures_has_no_table_or_images(tmp_path):
    text = write_page(tmp_path, title="Check").read_text()
    assert "mAP" not in text
    assert "<img" not in text
