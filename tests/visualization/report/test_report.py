"""The table of metrics, the precision-recall curves, and the content of the report page."""

import base64
import hashlib
import math
import re
import zlib

import cv2
import numpy as np
import pytest
from made_boxes import matched
from report_page import read_page

from bev.data.nuscenes.classes import CLASSES
from bev.evaluation.breakdown.breakdown import break_down
from bev.evaluation.nuscenes.official import Metrics
from bev.evaluation.table import Result
from bev.visualization.report.curves import draw_pr_curves
from bev.visualization.report.page import WEB, Page, write_page

ERRORS = ("trans_err", "scale_err", "orient_err", "vel_err", "attr_err")
HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u2028\u202e\"'&amp;"
    + 9999 * "x"
)


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


def test_the_page_holds_figures_classes_and_the_config(metrics, tmp_path):
    folder = tmp_path / "evaluation" / "mini_val"
    path = write_page(
        folder,
        Page(
            title="lss <r50>",
            notices=["A rehearsal"],
            result=Result({"head": metrics.scores()}, {"map": "The map has no ground truth"}),
            config_text="lr: 0.1 < 1",
            config={"train": {"lr": 0.1, "steps": [1, 2]}, "name": "a"},
            base=("the defaults", {"train": {"lr": 0.2, "steps": [1, 2]}}),
            provenance=[("Command", "bevlab evaluate"), ("GPU", "")],
        ),
    )
    page = read_page(path)
    assert path == folder / "report.html" and str(tmp_path) not in path.read_text()
    assert page.summary["title"] == "lss <r50>" and "lss &lt;r50&gt;" in path.read_text()
    assert page.summary["notices"] == ["A rehearsal", "The map has no ground truth."]
    assert page.figures["mAP"] == 0.1234 and page.figures["NDS"] == 0.2345
    assert page.summary["headline"][0]["better"] == "higher"
    rows = dict(page.summary["classes"]["rows"])
    assert [*rows] == [*CLASSES] and rows["traffic_cone"]["AVE"] is None
    assert page.summary["config"] == "lr: 0.1 < 1"
    assert page.summary["differences"] == [["train.lr", "0.1", "0.2"], ["name", "a", ""]]
    assert page.summary["provenance"] == [["Command", "bevlab evaluate"]]


def test_a_page_without_figures_has_none(tmp_path):
    page = read_page(write_page(tmp_path, Page(title="Check")))
    assert page.summary["headline"] == [] and page.summary["analysis"] is None
    assert page.samples == {} and page.pictures["mosaics"] == {}


def test_the_page_reaches_no_network_and_runs_its_own_code_alone(tmp_path):
    page = read_page(write_page(tmp_path, Page()))
    policy = dict(part.split(maxsplit=1) for part in page.policy.split("; "))
    assert policy["default-src"] == "'none'" and policy["img-src"] == "data:"
    (code,) = page.scripts
    library = zlib.decompress(base64.b64decode(page.library))
    assert b"plotly.js v" in library[:200]
    hashes = [base64.b64encode(hashlib.sha256(c).digest()) for c in (code.encode(), library)]
    assert policy["script-src"].split() == [f"'sha256-{one.decode()}'" for one in hashes]
    loading = {"src", "srcset", "data", "action", "background", "poster"}
    assert [tag for tag, attributes in page.tags if loading & {*attributes}] == []
    assert [a["href"] for _, a in page.tags if "href" in a] == ["#main"]
    for path in WEB.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|innerHTML|insertAdjacentHTML|document\.write|eval\(", text)


def test_hostile_names_stay_inside_the_data(tmp_path):
    """Whatever the names are, the page has the elements of one with plain names."""
    van = [("a", "van", 5, 5)]
    plain = break_down(matched(van, van))
    hostile = break_down(matched(van, van, scenes=[HOSTILE], descriptions={HOSTILE: HOSTILE}))
    pages = [
        read_page(
            write_page(
                tmp_path / str(number),
                Page(
                    name, name, [name], breakdown=content, mosaics={name: "data:,"},
                    pictures=[(name, "data:,")], config_text=name, provenance=[(name, name)],
                ),
            )
        )
        for number, (name, content) in enumerate({"plain": plain, HOSTILE: hostile}.items())
    ]  # fmt: skip
    assert [tag for tag, _ in pages[0].tags] == [tag for tag, _ in pages[1].tags]
    assert pages[0].scripts == pages[1].scripts and pages[0].policy == pages[1].policy
    assert pages[1].summary["title"] == HOSTILE
    assert pages[1].samples["list"]["scenes"] == [HOSTILE]
