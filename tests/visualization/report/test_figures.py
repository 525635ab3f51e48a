"""Figures of runs for papers, read back from their elements."""

from dataclasses import replace

import pytest
from crowds import crowd

from bev.data.nuscenes.classes import NUSCENES
from bev.evaluation.breakdown.boxes import MatchedBoxes
from bev.evaluation.breakdown.breakdown import break_down
from bev.evaluation.center_distance import counted_columns, match_columns
from bev.visualization.report.comparison import Compared
from bev.visualization.report.figures import (
    precision_recall_figures,
    training_figures,
    write_figures,
)

CHARTS = [
    {
        "name": "training-losses",
        "title": "Losses",
        "curves": [
            {"name": "train/loss", "steps": [0, 1, 2], "values": [3.0, None, 1.0]},
            {"name": "train/depth", "steps": list(range(200)), "values": [0.5] * 200},
        ],
    },
    {
        "name": "training-validation",
        "title": "Validation figures",
        "curves": [{"name": "val/NDS", "steps": [2], "values": [0.4]}],
    },
]


@pytest.fixture(scope="module")
def run() -> Compared:
    predicted, gt_boxes = crowd(0, NUSCENES)
    counted = counted_columns(predicted, gt_boxes, NUSCENES)
    matches = match_columns(*counted, NUSCENES)
    boxes = MatchedBoxes(matches, *counted, tuple("s" for _ in matches.tokens))
    return Compared("first", {}, breakdown=break_down(boxes), training=CHARTS)


def shown(figure) -> list:
    return [axis for axis in figure.axes if axis.get_visible()]


def test_a_training_figure_has_a_panel_for_each_curve():
    figures = dict(training_figures({"first": CHARTS, "second": CHARTS[:1]}))
    assert [*figures] == ["training_losses", "training_validation"]
    loss, depth = shown(figures["training_losses"])
    assert [axis.get_title("left") for axis in (loss, depth)] == ["loss", "depth"]
    assert [line.get_ydata()[0] for line in loss.lines] == [3.0, 3.0]
    # Dense curves are drawn twice, smoothed; the mean of a constant is the constant.
    assert len(depth.lines) == 4 and depth.lines[1].get_ydata() == pytest.approx([0.5] * 200)
    (legend,) = figures["training_losses"].legends
    assert [text.get_text() for text in legend.get_texts()] == ["first", "second"]


def test_a_legend_of_many_runs_covers_nothing():
    figure = dict(training_figures({f"run {n}": CHARTS for n in range(9)}))["training_losses"]
    figure.canvas.draw()
    (legend,) = figure.legends
    box, below = legend.get_window_extent(), figure.get_supxlabel()
    label = next(one for one in figure.texts if one.get_text() == below).get_window_extent()
    axes = [axis.get_tightbbox() for axis in shown(figure)]
    assert 0 <= box.y0 < box.y1 <= label.y0 and label.y1 <= min(one.y0 for one in axes)


def test_precision_recall_curves_are_those_of_the_evaluation(run):
    details = run.breakdown.boxes.matches.details()
    ((_, figure),) = precision_recall_figures([run])
    axes = {axis.get_title("left"): axis for axis in shown(figure)}
    assert len(axes) == len(NUSCENES.classes)
    for at, line in zip((0.5, 1.0, 2.0, 4.0), axes["car"].lines, strict=True):
        assert line.get_ydata() == pytest.approx(details[f"car:{at}"]["precision"])
    ((_, both),) = precision_recall_figures([run, replace(run, name="second")])
    lines = shown(both)[0].lines
    assert len(lines) == 2 and lines[0].get_color() != lines[1].get_color()
    assert not [*precision_recall_figures([replace(run, breakdown=None)])]


@pytest.mark.slow
def test_files_of_equal_runs_are_equal(run, tmp_path):
    first, second = (write_figures(tmp_path / name, [run], ("svg", "pdf")) for name in ("a", "b"))
    assert [path.name for path in first] == [
        f"{name}.{suffix}"
        for name in ("training_losses", "training_validation", "precision_recall")
        for suffix in ("svg", "pdf")
    ]
    for path, other in zip(first, second, strict=True):
        assert path.read_bytes() == other.read_bytes(), path.name
    assert b"<svg" in first[0].read_bytes() and first[1].read_bytes().startswith(b"%PDF")
