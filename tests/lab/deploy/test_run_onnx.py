"""The example script: its inputs, and the files and rigs that it refuses; no graph is run."""

import json
import runpy
import shutil
import sys
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
import yaml
from commands import ROOT
from parity import opened
from rig_folder import write_folder

from bev.lab.deploy import plan
from bev.lab.deploy.command import example_batch, rig_frame
from bev.lab.deploy.exporting import metadata
from bev.lab.deploy.geometry import batch_arrays
from bev.lab.deploy.settings import GraphSettings


@pytest.fixture(scope="module")
def drive(single, tmp_path_factory):
    """A folder with a rig and images of one frame, and metadata of both calibrations for it."""
    config, model, batch = opened(single, places=(0,))
    source = config.data.source.open(config.data)
    folder = write_folder(
        tmp_path_factory.mktemp("drive"), [source.frames(config.data.splits[1])[0]]
    )
    shutil.copyfile(plan.__file__, folder / "model.v2_plan.py")
    frame = rig_frame(folder / "rig.yaml")
    made = example_batch(config, model, frame)
    notes = {
        name: metadata(config, model, made, frame, GraphSettings(calibration=name))
        for name in ("fixed", "input")
    }
    return folder, notes, batch.views.images.numpy(), batch_arrays(model, made, 2)


class Session:
    """Stands for ONNX Runtime: one box, whose score is 0.5, whatever the inputs."""

    notes: dict
    names = (["images"], ["boxes", "scores", "labels"])

    def __init__(self, path, providers):
        pass

    def get_inputs(self):
        return [SimpleNamespace(name=name) for name in self.names[0]]

    def get_outputs(self):
        return [SimpleNamespace(name=name) for name in self.names[1]]

    def get_modelmeta(self):
        return SimpleNamespace(custom_metadata_map=self.notes)

    def run(self, outputs, inputs):
        type(self).got = inputs
        return np.arange(9.0).reshape(1, 1, 9), np.array([[0.5]]), np.array([[1]])


def run(folder, notes, inputs=(), outputs=("boxes", "scores", "labels"), rig="rig.yaml"):
    """Run the script; returns what the graph was given."""
    kind = type("Own", (Session,), {"notes": notes, "names": (["images", *inputs], [*outputs])})
    arguments = ["run_onnx.py", str(folder / "model.v2.onnx"), str(folder / rig), folder / "images"]
    runtime = SimpleNamespace(InferenceSession=kind)
    with patch.dict(sys.modules, onnxruntime=runtime), patch.object(sys, "argv", arguments):
        runpy.run_path(str(ROOT / "docs" / "examples" / "run_onnx.py"))
    return kind.got


def test_the_example_is_short_and_needs_no_bevlab():
    script = (ROOT / "docs" / "examples" / "run_onnx.py").read_text()
    assert len(script.splitlines()) < 60 and "import bev" not in script


def test_images_and_calibration_are_those_of_the_package(drive, capsys):
    folder, notes, images, arrays = drive
    got = run(folder, notes["fixed"])
    assert set(got) == {"images"} and (got["images"] == images).all()
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["0000", "  truck 0.500 at x=0.00 y=1.00 m"]
    got = run(folder, notes["input"], ["mask", "target", "rays", "rays_flipped"])
    assert set(got) == {"images", "mask", "target", "rays", "rays_flipped"}
    torch.testing.assert_close(
        torch.from_numpy(got["rays_flipped"]), arrays[1]["rays"], rtol=0, atol=1e-3
    )


@pytest.mark.parametrize(
    ("decode", "outputs", "message"),
    [
        ("candidates", ("boxes", "scores", "labels"), "model.v2.onnx has no boxes after NMS"),
        ("boxes", ("segmentation",), "model.v2.onnx has no boxes after NMS"),
        ("boxes", ("boxes", "scores", "labels", "features"), "needs earlier frames"),
    ],
)
def test_other_graphs_are_named(drive, decode, outputs, message):
    folder, notes = drive[:2]
    with pytest.raises(AssertionError, match=message):
        run(folder, notes["fixed"] | {"decode": decode}, outputs=outputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distortion": {"model": "plumb_bob"}}, "needs intrinsics, pose and images without"),
        ({"camera_info": "front.yaml"}, "needs intrinsics, pose and images without"),
        ({"intrinsics": None}, "needs intrinsics, pose and images without"),
        ({"name": "other"}, "needs intrinsics, pose and images without"),
        ({"pixel_centers": "integer"}, r"another calibration of CAM_\w+; export with --rig"),
        ({"ego_from_camera": np.eye(4).tolist()}, r"another calibration of CAM_\w+; export with"),
        ({"images": "none/*.jpg"}, "images: 0 images none/"),
    ],
)
def test_other_rigs_are_refused(drive, change, message):
    folder, notes = drive[:2]
    rig = yaml.safe_load((folder / "rig.yaml").read_text())
    rig["cameras"][0] |= change
    (folder / "changed.yaml").write_text(yaml.safe_dump(rig))
    with pytest.raises(AssertionError, match=message):
        run(folder, notes["fixed"], rig="changed.yaml")


def test_an_image_that_is_none_or_of_another_size_is_named(drive):
    folder, notes = drive[:2]
    cameras = json.loads(notes["fixed"]["cameras"])
    cameras[1]["opencv_shape"][0] += 8
    with pytest.raises(AssertionError, match=rf"{cameras[1]['name']}/0000.jpg is no image \["):
        run(folder, notes["fixed"] | {"cameras": json.dumps(cameras)})
    image = next((folder / "images" / cameras[0]["name"]).iterdir())
    content = image.read_bytes()
    image.write_bytes(b"no image")
    try:
        with pytest.raises(AssertionError, match="0000.jpg is no image"):
            run(folder, notes["fixed"])
    finally:
        image.write_bytes(content)
