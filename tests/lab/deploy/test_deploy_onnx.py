"""Exported files in ONNX Runtime and OpenVINO against the detector."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import ROOT, call
from parity import agree, opened
from rig_folder import write_folder

from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.lab.deploy.exporting import build_example
from bev.lab.deploy.formats import onnx_model
from bev.lab.deploy.geometry import graph_inputs
from bev.lab.deploy.runtime import OnnxRunner, OpenVinoRunner, boxes_of, detect
from bev.lab.deploy.settings import GraphSettings
from bev.lab.deploy.tensorrt import nodes, operators, tensorrt_faults
from bev.training.checkpoint import load_checkpoint

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.slow

NAME, TEMPORAL = Path("synthetic"), Path("synthetic-temporal")  # networks of the package


def exported(checkpoint, out, *options):
    call("export.py", checkpoint, "--format", "onnx", "--out", out, *options)
    return OnnxRunner(out, 1)


@pytest.mark.parametrize("form", ["scatter", "padded"])
def test_boxes_in_onnx_runtime(synthetic_world, tmp_path, form):
    """One frame and two, both forms of the pooling; standard operators alone.

    The calibration is that of the first frame: those of others contain another motion.
    """
    out = tmp_path / "a.onnx"
    run = exported(NAME, out, "--pooling", form, "--data.root", synthetic_world)
    for places in ((0,), (0, 0)):
        _, model, batch = opened(NAME, synthetic_world, places)
        agree(model.detect(batch), detect(run, model, batch))
    graph = onnx.load(str(out))
    assert {o.domain for o in graph.opset_import} == {""}
    kinds = {node.op_type for node in nodes(graph.graph)}
    assert {"Conv", "Loop", "TopK"} <= kinds <= set(operators()["supported"])
    scattered = [fault for fault in tensorrt_faults(graph) if "ScatterElements" in fault]
    assert len(scattered) == (form == "scatter") and len(tensorrt_faults(graph)) == len(scattered)
    shape = graph.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in shape] == ["batch", 6, 3, 160, 416]
    assert json.loads(run.metadata["classes"])[0] == "car"


def test_a_folder_of_images_without_bevlab(synthetic_world, tmp_path):
    """The example script with a rig file, of fixed calibration and with it as input."""
    config, model, batch = opened(NAME, synthetic_world, (0,))
    frames = config.data.source.open(config.data).frames("synthetic_val")
    write_folder(tmp_path, [frames[0], frames[1]])
    rig = tmp_path / "rig.yaml"
    rig.write_text(rig.read_text().replace("/*.", "/{moment}."))  # as `rig from-nuscenes` does
    best = [boxes.score[0].item() for boxes in model.detect(batch)]
    script = (ROOT / "docs" / "examples" / "run_onnx.py").read_text()
    (tmp_path / "run.py").write_text(script.replace("score >= 0.3", "score > 0"))
    for calibration in ("fixed", "input"):
        out = tmp_path / f"{calibration}.onnx"
        call(
            "export.py", NAME, "--format", "onnx", "--out", out, "--calibration", calibration,
            "--rig", rig,
        )  # fmt: skip
        command = [sys.executable, "run.py", out.name, "rig.yaml", "images"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        lines = done.stdout.splitlines()
        assert lines[0] == "0000"
        assert float(lines[1].split()[1]) == pytest.approx(best[0], abs=2e-3)


@pytest.mark.parametrize("form", ["scatter", "padded"])
def test_a_temporal_model_in_onnx_runtime(synthetic_world, tmp_path, form):
    """The features of one call are an input of the next."""
    options = ("--calibration", "input", "--pooling", form, "--data.root", synthetic_world)
    run = exported(TEMPORAL, tmp_path / "a.onnx", *options)
    _, model, batch = opened(TEMPORAL, synthetic_world, (3,))
    inputs = graph_inputs(model, batch, run.inputs)
    size = [d if isinstance(d, int) else 1 for d in _shape(run, "features_adjacent0")]
    inputs["features_adjacent0"] = torch.zeros(size).numpy()
    earlier = run(inputs | {"images": batch.adjacent[0].images.numpy()})
    got = boxes_of(run(inputs | {"features_adjacent0": earlier["features"]}))
    with torch.no_grad():
        agree(model.detect(batch), got)


def _shape(run, name):
    return next(one.shape for one in run.session.get_inputs() if one.name == name)


def test_boxes_in_openvino(synthetic_world, tmp_path):
    pytest.importorskip("openvino")
    out = tmp_path / "a.xml"
    call("export.py", NAME, "--format", "openvino", "--out", out, "--data.root", synthetic_world)
    _, model, batch = opened(NAME, synthetic_world, (0,))
    agree(model.detect(batch), detect(OpenVinoRunner(out, 1), model, batch))


def test_boxes_of_torch_export(synthetic_world, tmp_path):
    out = tmp_path / "a.pt2"
    options = ("--format", "torch-export", "--out", out, "--data.root", synthetic_world)
    call("export.py", NAME, *options)
    _, model, batch = opened(NAME, synthetic_world, (0,))
    graph = torch.export.load(out).module()
    with torch.no_grad():
        agree(model.detect(batch), boxes_of(graph(images=batch.views.images)))


def test_int8_in_onnx_runtime(single, tmp_path):
    """With the calibration as input; no layer of an untrained network is sensitive."""
    _, model, batch = opened(single, places=(1,))
    out = tmp_path / "a.onnx"
    options = ("--int8", "--int8-frames", "2", "--int8-tolerance", "1.0")
    run = exported(single, out, "--calibration", "input", *options)
    kinds = [node.op_type for node in onnx.load(out).graph.node]
    assert "Loop" in kinds and kinds.count("QuantizeLinear") > 10
    assert json.loads(run.metadata["int8_in_float"]) == []
    assert len(detect(run, model, batch)) == 1


def test_int8_in_openvino(single, tmp_path):
    """The file has decoded boxes, and is computed from quantised weights."""
    pytest.importorskip("openvino")
    _, model, batch = opened(single)
    out = tmp_path / "a.xml"
    options = ("--int8", "--int8-frames", "2", "--int8-tolerance", "1.0")
    call("export.py", single, "--format", "openvino", "--out", out, *options)
    text = out.read_text()
    assert text.count('type="FakeQuantize"') > 10 and 'element_type="i8"' in text
    assert len(detect(OpenVinoRunner(out, 1), model, batch)) == 2


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_half_precision_is_half_the_file(synthetic_world, tmp_path, form):
    """Boxes of a shipped model are those of the detector to a centimetre or so."""
    suffix, run = {"onnx": (".onnx", OnnxRunner), "openvino": (".bin", OpenVinoRunner)}[form]
    _, model, batch = opened(NAME, synthetic_world, (0,))
    out = tmp_path / ("a.onnx" if form == "onnx" else "a.xml")
    options = ("--data.root", synthetic_world, "--calibration", "input", "--half")
    call("export.py", NAME, "--format", form, "--out", out, *options)
    assert 3.5e6 < out.with_suffix(suffix).stat().st_size < 6e6
    (want,), (got,) = model.detect(batch), detect(run(out, 1), model, batch)
    best = want.score > 0.2
    apart = torch.cdist(want.center[best], got.center).amin(dim=1)
    assert best.sum() > 3 and apart.max() < 0.1
    torch.testing.assert_close(got.score[:3], want.score[:3], rtol=0, atol=0.02)


@pytest.mark.parametrize("form", ["scatter", "padded"])
def test_the_shipped_model_on_real_frames(form, nuscenes_root, real_frames):
    """One graph with calibration as input, for the calibrations of three real frames.

    No camera is quite upright, so columns have several slots.
    """
    config, model = load_checkpoint(NAME)
    frames = KeyFrames(real_frames, replace(config.data, lidar=False), training=False)
    batches = [collate([frames[number]]) for number in range(len(frames))]
    settings = GraphSettings(calibration="input", pooling=form)
    example = build_example(model, batches[0], settings)
    run = OnnxRunner(onnx_model(example, settings).SerializeToString(), 1)
    for batch in batches:
        agree(model.detect(batch), detect(run, model, batch))
