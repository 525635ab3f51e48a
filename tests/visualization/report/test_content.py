"""Content of a report: packed boxes, the list of samples, training curves, chosen samples."""

import base64
import json
import zlib

import numpy as np
import pytest
from made_boxes import crowded, matched

from bev.evaluation.breakdown.breakdown import break_down
from bev.evaluation.breakdown.samples import SampleErrors
from bev.evaluation.detection.arithmetic import yaw
from bev.visualization.report.analysis import analysis, sample_list
from bev.visualization.report.packing import UNKNOWN, pack
from bev.visualization.report.pictures import data_uri, extremes
from bev.visualization.report.plain import number, script_json
from bev.visualization.report.provenance import git_commit, provenance
from bev.visualization.report.training import training_curves


def unpacked(packed: dict) -> dict[str, np.ndarray]:
    """Columns of packed boxes, as the page reads them."""
    data = zlib.decompress(base64.b64decode(packed["data"]))
    found, offset = {}, 0
    for name, kind in packed["columns"]:
        count = sum(packed[f"{name.split('_')[0]}_counts"])
        found[name] = np.frombuffer(data, f"<{kind}", count, offset)
        offset += found[name].nbytes
    assert offset == len(data)
    return found


def test_packed_boxes_are_the_boxes_to_a_centimetre():
    breakdown = break_down(crowded(2))
    boxes, packed = breakdown.boxes, pack(breakdown)
    columns = unpacked(packed)
    order = np.argsort(boxes.gt_boxes.sample, kind="stable")
    gt_boxes = boxes.gt_boxes.take(order)
    assert packed["unit"] == 0.01
    for name, values in (("x", gt_boxes.translation[:, 0]), ("length", gt_boxes.size[:, 1])):
        np.testing.assert_allclose(columns[f"gt_{name}"] * 0.01, values, atol=0.0051)
    turn = columns["gt_yaw"] * np.pi / 128 - yaw(gt_boxes.rotation)
    assert np.cos(turn).min() > np.cos(np.pi / 250)
    unknown = np.isnan(gt_boxes.velocity[:, 0])
    assert unknown.any() and ((columns["gt_vx"] == UNKNOWN) == unknown).all()
    np.testing.assert_allclose(
        columns["gt_vx"][~unknown] / 10, gt_boxes.velocity[~unknown, 0], atol=0.051
    )
    low, step = packed["scores"]
    assert 0 <= low + step * columns["p_score"].min() <= low + step * columns["p_score"].max() <= 1


def test_packed_outcomes_are_those_of_the_samples():
    """Hits, misses and false positives counted from the packed boxes are the listed ones."""
    breakdown = break_down(crowded(4))
    packed, listed = pack(breakdown), sample_list(breakdown)
    columns = unpacked(packed)
    ends = {side: np.cumsum(packed[f"{side}_counts"]) for side in ("gt", "p")}
    for sample in range(len(listed["tokens"])):
        own = slice(ends["p"][sample] - packed["p_counts"][sample], ends["p"][sample])
        gt, counted = columns["p_gt"][own], columns["p_counted"][own] == 1
        hits = gt[counted & (gt > 0)]
        assert len({*hits.tolist()}) == len(hits) == listed["hits"][sample]
        assert (counted & (gt == 0)).sum() == listed["false"][sample]
        assert hits.max(initial=0) <= packed["gt_counts"][sample]
        assert packed["gt_counts"][sample] - len(hits) == listed["misses"][sample]


def test_far_boxes_have_a_larger_unit():
    van = [("a", "van", 32_000, 0)]
    packed = pack(break_down(matched(van, van)))
    assert packed["unit"] == 1 and unpacked(packed)["gt_x"].tolist() == [32_000]


def test_an_evaluation_is_plain_data():
    content = analysis(break_down(crowded(1)))
    assert json.loads(script_json(content)) == json.loads(json.dumps(content))
    assert content["names"] == ["van", "gate", "post"]
    assert len(content["curves"]) == 12
    names = [one["name"] for one in content["groups"]]
    assert names == ["range", "azimuth", "size", "speed", "time", "weather"]
    assert len(content["confusion"]) == len(content["confusion"][0]) == 4


def test_numbers_that_are_not_finite_are_null():
    assert [number(x) for x in (np.nan, np.inf, 0.123456789)] == [None, None, 0.12346]
    with pytest.raises(ValueError):
        script_json({"x": np.nan})


def test_markup_is_escaped_in_the_data():
    text = script_json(["</script>", "\u2028", "<!--", "&"])
    assert text.isascii() and not set("<>&") & set(text)
    assert json.loads(text) == ["</script>", "\u2028", "<!--", "&"]


def test_the_best_and_the_worst_samples():
    hits, misses, false = (np.array(c) for c in ([5, 0, 9, 1, 0], [0, 4, 0, 1, 0], [0, 0, 0, 1, 0]))
    total = np.maximum(2 * hits + misses + false, 1)
    samples = SampleErrors(1 - 2 * hits / total, hits, misses, false)
    assert extremes(samples, 1).best == (2,) and extremes(samples, 1).worst == (1,)
    chosen = extremes(samples, 9)  # the last sample has no box
    assert {*chosen.best} | {*chosen.worst} == {0, 1, 2, 3}
    assert not {*chosen.best} & {*chosen.worst}
    assert extremes(samples, 0) == ((), ()) or extremes(samples, 0).best == ()


def test_pictures_are_downscaled():
    uri = data_uri(np.full((400, 2480, 3), 80, np.uint8))
    import cv2

    content = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
    assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR).shape == (200, 1240, 3)


def test_training_curves_are_those_of_the_log(tmp_path):
    assert training_curves(tmp_path) == []
    lines = ["epoch,lr-AdamW,step,train/loss,val/NDS,train/grad_norm", ",0.1,0,,,", "0,,9,2.5,,7",
             "0,,9,nan,,", "0,,9,,0.25,", "broken,x,y,z"]  # fmt: skip
    (tmp_path / "metrics.csv").write_text("\n".join(lines))
    charts = {one["name"]: one["curves"] for one in training_curves(tmp_path)}
    assert [*charts] == [
        "training-losses", "training-rates", "training-gradients", "training-validation",
    ]  # fmt: skip
    assert charts["training-losses"] == [
        {"name": "train/loss", "steps": [9, 9], "values": [2.5, None]}
    ]
    assert charts["training-rates"][0]["steps"] == [0]
    assert charts["training-gradients"][0]["values"] == [7]


def test_long_curves_are_thinned_out(tmp_path):
    lines = ["step,train/loss", *(f"{step},1.5" for step in range(25_000))]
    (tmp_path / "metrics.csv").write_text("\n".join(lines))
    steps = training_curves(tmp_path)[0]["curves"][0]["steps"]
    assert 900 <= len(steps) <= 1001 and steps[0] == 0


def test_provenance_names_code_machine_and_time(tmp_path):
    found = dict(provenance())
    assert found["Python"].startswith("3.") and "torch " in found["Packages"]
    assert "usable cores" in found["Processor"] and found["Report written"].startswith("20")
    assert git_commit(tmp_path) == ""
