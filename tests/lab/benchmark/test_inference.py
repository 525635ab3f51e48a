"""The benchmark of inference: its variants agree, and its tables hold what was run."""

import csv
from dataclasses import replace

import pytest
import torch
from commands import call

from bev.data.batch import AdjacentViews, collate
from bev.lab.benchmark.inference import exported, variants
from bev.lab.benchmark.inference.run import apart
from bev.lab.benchmark.inference.stages import timed
from bev.lab.benchmark.step import random_batch
from bev.training.checkpoint import load_checkpoint

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def loaded(single):
    """A detector, and a random batch of it."""
    config, model = load_checkpoint(single)
    config = replace(config, data=replace(config.data, batch_size=1))
    return model, random_batch(config, CPU)


def chosen(loaded, *names):
    model, batch = loaded
    return variants.choose(model, ["head"], batch, names, threads=1)


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_run_writes_tables_and_a_chart(single, tmp_path):
    flags = ("--variants", "eager", "prepared", "fp16", "--seconds", "0", "--threads", "1")
    flags = (*flags, "--out", tmp_path, "--batches", "1", "2")
    out, _ = call("benchmark.py", "model", single, *flags)
    rows = rows_of(tmp_path / "model.csv")
    assert [(row["variant"], row["batch"]) for row in rows] == [
        ("eager", "1"), ("prepared", "1"), ("eager", "2"), ("prepared", "2"),
    ]  # fmt: skip
    for row in rows:
        p10, p50, p90, p99 = (float(row[f"p{n}_ms"]) for n in (10, 50, 90, 99))
        assert 0 < p10 <= p50 <= p90 <= p99 and int(row["rounds"]) == 3
        assert float(row["samples_per_second"]) == pytest.approx(1e3 * int(row["batch"]) / p50)
        assert float(row["apart"]) < 1e-4
    assert float(rows[0]["speed"]) == 1 and float(rows[0]["apart"]) == 0
    staged = {(r["variant"], r["stage"]) for r in rows_of(tmp_path / "model_stages.csv")}
    parts = {"backbone", "neck", "plan", "view", "temporal", "encoder", "head", "decode"}
    parts.add("depth_supervision")
    assert {stage for name, stage in staged if name == "prepared"} == parts
    assert ("eager", "depth_supervision") in staged and ("", "load") in staged
    assert (tmp_path / "model.png").stat().st_size > 10_000
    assert out.count("fp16  left out: half precision") == 2


def test_variants_that_lack_something_are_left_out(loaded, monkeypatch):
    monkeypatch.setattr(variants.shutil, "which", lambda name: None)
    monkeypatch.setattr(exported, "installed", lambda name: name != "openvino")
    monkeypatch.setattr(variants, "has_fast_bf16", lambda: False)
    found = chosen(loaded, "compiled", "bf16", "openvino")
    assert not found.variants
    assert found.left_out == {
        "compiled": "no C++ compiler is found: install g++ or clang++, or set CXX",
        "bf16": "this device does not multiply bfloat16 matrices in hardware",
        "openvino": "it needs openvino; install it with pip install 'bevlab[export]'",
    }


def test_a_variant_that_fails_is_left_out(loaded, monkeypatch):
    def fail(model, options):
        raise RuntimeError("no such kernel\nat line 3")

    monkeypatch.setattr(variants, "compile_parts", fail)
    found = chosen(loaded, "compiled", "channels first")
    assert found.left_out == {"compiled": "RuntimeError: no such kernel"}
    assert [variant.name for variant in found.variants] == ["channels first"]


def agree(loaded, *names, limit=1e-4):
    """Check that variants run and predict what the eager one does, and leave the model as it is."""
    found = chosen(loaded, "eager", *names)
    assert not found.left_out
    eager = found.variants[0].outputs
    for variant in found.variants:
        assert apart(variant.outputs, eager) < limit
        assert any(t.numel() for t in variant.outputs["head"])
    assert apart(eager, variants.raw_outputs(*loaded)) == 0
    return found.variants[1:]


def test_channels_first_predicts_the_same(loaded):
    agree(loaded, "channels first", "prepared")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["compiled", "onnxruntime", "openvino"])
def test_compilers_and_runtimes_predict_the_same(loaded, name):
    if name != "compiled":
        pytest.importorskip("onnxscript")
        pytest.importorskip(name)
    agree(loaded, name)


@pytest.mark.slow
def test_int8_graphs_are_ways_to_run_a_model(loaded):
    for package in ("onnxscript", "onnxruntime", "openvino"):
        pytest.importorskip(package)
    for variant in agree(loaded, "onnxruntime-int8", "openvino-int8", limit=0.5):
        assert variant.model is None and len(variant.predict(loaded[1])) == 1


def test_a_graph_has_one_calibration_and_one_frame(loaded, monkeypatch):
    monkeypatch.setattr(exported, "installed", lambda name: True)
    model, batch = loaded
    batch = collate([batch, batch])
    cameras = batch.views.cameras
    poses = cameras.ego_from_camera.clone()
    poses[1, 0, 0, 3] += 0.1
    moved = replace(batch.views, cameras=replace(cameras, ego_from_camera=poses))
    past = AdjacentViews(
        **vars(batch.views), ego_from_adjacent=torch.eye(4).repeat(2, 1, 1), seconds=torch.zeros(2)
    )
    for changed, message in (
        (replace(batch, views=moved), "a graph has one calibration, and the samples have several"),
        (replace(batch, adjacent=[past]), "a graph computes the features of one frame in"),
    ):
        graphs = exported.ExportedGraphs(model, changed, [], 1)
        with pytest.raises(exported.Missing, match=message):
            graphs.runners("onnx", int8=False)


def test_stages_are_parts_of_a_prediction_and_leave_the_model_as_it_was(loaded):
    model, batch = loaded
    parts = dict(model.named_modules())
    with timed(model) as first:
        model.predict(batch)
    assert dict(model.named_modules()) == parts
    assert "geometry_of" not in vars(model.view)
    assert all(seconds > 0 for seconds in first.values())
    with timed(model) as second:
        for _ in range(2):
            model.predict(batch)
    assert set(second) == set(first) and "plan" in first and "decode" in first


def test_the_difference_of_outputs_is_relative_to_the_largest():
    one = {"a": [torch.tensor([4.0, -8.0])], "b": [torch.tensor([1.0]), torch.zeros(0)]}
    other = {"a": [torch.tensor([4.0, -6.0])], "b": [torch.tensor([1.0]), torch.zeros(0)]}
    assert apart(other, one) == pytest.approx(2 / 8)
    assert apart(one, {"a": one["a"]}) == 0
