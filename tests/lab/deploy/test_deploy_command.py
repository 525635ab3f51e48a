"""What ``bevlab export`` refuses before it exports anything, or warns of."""

import sys
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from commands import call

from bev.data.rig import Distortion, RigCamera
from bev.errors import ConfigError, DataError
from bev.lab.deploy.command import TrainingFrames, check_scored, example_batch, first_frame
from bev.lab.deploy.exporting import metadata
from bev.lab.deploy.settings import GraphSettings
from bev.training.checkpoint import load_checkpoint

FISHEYE = Distortion("fisheye", (0.03, -0.006, 0.0, 0.0))


def notes_of(checkpoint, settings=None, **changes):
    """Metadata for the rig of the data, whose first camera is changed."""
    config, model = load_checkpoint(checkpoint)
    frame = first_frame(config.data)
    first, *others = frame.cameras
    own = RigCamera(first.name, first.intrinsics, first.ego_from_camera, first.size, **changes)
    frame = replace(frame, cameras=(own.frame(first.path), *others))
    batch = example_batch(config, model, frame)
    return metadata(config, model, batch, frame, settings or GraphSettings())


def test_distortion_that_nobody_would_remove_is_refused(single):
    with pytest.raises(ConfigError, match=r"Camera CAM_FRONT\w* has distortion.* undistort its"):
        notes_of(single, distortion=Distortion("plumb_bob", (-0.3, 0.09, 0.0, 0.0)))


def test_a_lens_is_refused_where_calibration_inputs_would_be_those_of_a_pinhole(single, temporal):
    kept = {"distortion": FISHEYE, "keep_lens": True}
    assert '"lens": "KannalaBrandt"' in notes_of(single, **kept)["cameras"]
    with pytest.raises(ConfigError, match="KannalaBrandt.* set --calibration fixed"):
        notes_of(single, GraphSettings(calibration="input"), **kept)
    with pytest.raises(ConfigError, match="KannalaBrandt.* export a single-frame model"):
        notes_of(temporal, **kept)


def test_candidates_come_with_the_settings_of_their_nms(single):
    assert "nms" not in notes_of(single)
    notes = notes_of(single, GraphSettings(decode="candidates"))
    assert '"tasks": [0, ' in notes["nms"] and '"overlap": [' in notes["nms"]


@pytest.mark.parametrize("form", ["safetensors", "onnx", "torch-export", "openvino"])
def test_a_place_that_cannot_be_written_is_named_before_the_export(single, tmp_path, form):
    suffix = {"torch-export": "pt2", "openvino": "xml"}.get(form, form)
    (tmp_path / "file").touch()
    taken = tmp_path / f"folder.{suffix}"
    taken.mkdir()
    for out in (tmp_path / "file" / f"a.{suffix}", taken):
        with patch("bev.training.checkpoint.loading.load_checkpoint", side_effect=AssertionError):
            _, error = call("export.py", single, "--format", form, "--out", out, code=1)
        assert f"--out {out} cannot be written (" in error and error.count("\n") == 1


def test_a_missing_folder_is_made_before_the_export(single, tmp_path):
    out = tmp_path / "new" / "folder" / "a.onnx"
    with patch("bev.lab.deploy.command.export_graph") as export:
        call("export.py", single, "--format", "onnx", "--out", out)
    assert export.call_args.args[1] == out and list(out.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("package", "options"),
    [
        ("onnxruntime", ("--format", "onnx", "--int8")),
        ("onnxruntime", ("--format", "onnx", "--score")),
        ("openvino", ("--format", "openvino")),
        ("onnxscript", ("--format", "openvino")),
    ],
)
def test_a_missing_runtime_is_named_before_the_export(single, tmp_path, package, options):
    out = tmp_path / ("a.xml" if "openvino" in options else "a.onnx")
    present = dict.fromkeys(("onnx", "onnxscript", "onnxruntime", "openvino"), SimpleNamespace())
    for module in present.values():
        module.__spec__ = module
    with (
        patch.dict(sys.modules, present | {package: None}),
        patch("bev.lab.deploy.command.load_checkpoint", side_effect=AssertionError),
    ):
        _, error = call("export.py", single, "--out", out, *options, code=1)
    assert f"needs the package {package}; pip install 'bevlab[export]'." in error


def test_int8_needs_training_frames(single):
    config, model = load_checkpoint(single)
    frames = TrainingFrames(config.data, model, ["images"], 3)
    assert len(frames) == 3
    empty = SimpleNamespace(frames=lambda split: [])
    frames = TrainingFrames(config.data, model, ["images"], 3)
    with (
        patch.object(type(config.data.source), "open", lambda source, data: empty),
        pytest.raises(DataError, match="Split synthetic_train has no frame on which INT8"),
    ):
        len(frames)


def test_a_model_without_boxes_is_not_scored(single):
    _, model = load_checkpoint(single)
    check_scored(model, GraphSettings(decode="candidates"))
    with pytest.raises(ConfigError, match="needs decoded boxes; omit --decode maps"):
        check_scored(model, GraphSettings(decode="maps"))
    model.head = torch.nn.Identity()
    with pytest.raises(ConfigError, match="this model detects none; .* bevlab evaluate"):
        check_scored(model, GraphSettings())


def test_int8_of_the_padded_form_is_not_for_tensorrt(single, tmp_path):
    options = ("--format", "onnx", "--int8", "--pooling", "padded", "--out", tmp_path / "a.onnx")
    with (
        patch("bev.lab.deploy.command.check_packages"),
        patch("bev.lab.deploy.command.metadata", side_effect=ConfigError("It ends here.")),
    ):
        _, error = call("export.py", single, *options, code=1)
    warning, end = error.splitlines()
    assert warning.startswith("warning: --int8 writes") and end == "error: It ends here."
