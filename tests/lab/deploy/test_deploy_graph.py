"""The graph of plain tensors computes what the detector does."""

import sys
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from commands import call
from exported import exported
from parity import agree, opened

from bev.errors import ConfigError
from bev.lab.deploy.command import example_batch, first_frame
from bev.lab.deploy.exporting import build_example, metadata
from bev.lab.deploy.formats import onnx_model
from bev.lab.deploy.geometry import adjacent_arrays, batch_arrays, geometry_of
from bev.lab.deploy.plan import calibration_inputs
from bev.lab.deploy.runtime import boxes_of
from bev.lab.deploy.settings import GraphSettings
from bev.models.flip_tta import flipped


@torch.no_grad()
@pytest.mark.parametrize("form", ["scatter", pytest.param("padded", marks=pytest.mark.slow)])
def test_maps_of_the_graph_are_those_of_the_detector(single, form):
    """Two samples, with flip test-time augmentation."""
    _, model, batch = opened(single)
    assert model.config.flip_tta
    example = build_example(model, batch, GraphSettings(pooling=form, decode="maps"))
    found = example.graph(batch.views.images)
    outputs = [model(each).heads["head"] for each in (batch, flipped(batch))]
    for number, task in enumerate(model.head.averaged(*outputs)):
        for part, want in task._asdict().items():
            if want.shape[1]:
                got = found[f"task{number}_{part}"]
                torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_calibration_is_an_input(single):
    """The numpy function computes the arrays, also of the mirrored pass."""
    config, model, batch = opened(single, places=(1,))
    notes = metadata(config, model, batch, first_frame(config.data), GraphSettings())
    assert '"car"' in notes["classes"]
    want = batch_arrays(model, batch, 2)
    cameras = batch.views.cameras
    found = calibration_inputs(
        geometry_of(model, batch.image_size),
        2,
        cameras.intrinsics[0].numpy(),
        cameras.ego_from_camera[0].numpy(),
        cameras.image_from_original[0].numpy(),
    )
    for ending, arrays in zip(("", "_flipped"), want, strict=True):
        got = {name: found[name + ending] for name in arrays}
        torch.testing.assert_close(torch.from_numpy(got["rays"]), arrays["rays"], rtol=0, atol=1e-3)
        # Points at the border of two cells may be rounded into either.
        assert got["mask"].shape == arrays["mask"].shape
        assert (got["mask"] != arrays["mask"].numpy()).mean() < 1e-2


@torch.no_grad()
@pytest.mark.parametrize(
    ("place", "form"),
    [(3, "scatter"), (0, "scatter"), pytest.param(3, "padded", marks=pytest.mark.slow)],
)
def test_a_temporal_graph_takes_the_features_that_it_returned(temporal, place, form):
    """The first frame of a scene takes its own place: its own features, no seconds, no motion."""
    config, model, batch = opened(temporal, places=(place,))
    alone = bool(torch.equal(batch.adjacent[0].images, batch.views.images))
    assert alone == (place == 0) == (batch.adjacent[0].seconds == 0).all()
    settings = GraphSettings(pooling=form)
    passes = settings.passes(model.config)
    example = build_example(model, batch, settings)
    assert example.names[:3] == ["images", "features_adjacent0", "seconds_adjacent0"]
    images = batch.adjacent[0].images
    first = dict(example.inputs["adjacent"][0])
    first |= {"features": first["features"][:1], "seconds": first["seconds"][:1]}
    features = example.graph(images, adjacent=[first])["features"]
    past = {
        "features": features,
        "seconds": batch.adjacent[0].seconds,
        "calibration": adjacent_arrays(model, batch, 0, passes),
    }
    agree(model.detect(batch), boxes_of(example.graph(batch.views.images, adjacent=[past])))


@torch.no_grad()
def test_the_calibration_of_the_data_is_that_of_a_batch(single):
    """A rig alone gives the arrays that a loaded frame gives."""
    config, model, batch = opened(single, places=(0,))
    own = example_batch(config, model, first_frame(config.data))
    for a, b in zip(batch_arrays(model, own, 2), batch_arrays(model, batch, 2), strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_rotated_nms_stays_outside(single):
    _, model, batch = opened(single, places=(1,))
    head = replace(model.config.head, decode=replace(model.config.head.decode, nms="rotated"))
    config = replace(model.config, head=head)
    assert GraphSettings().decoded(config) == "candidates"
    with pytest.raises(ConfigError, match="--decode candidates"):
        GraphSettings(decode="boxes").decoded(config)


@torch.no_grad()
@pytest.mark.slow
def test_segmentation_is_a_probability_for_each_layer(synthetic_world, tmp_path):
    """Maps of a model with both heads."""
    path = exported("multitask_synthetic", synthetic_world, tmp_path)
    _, model, batch = opened(path)
    example = build_example(model, batch, GraphSettings(single_pass=True, decode="maps"))
    found = example.graph(batch.views.images)
    output = model(batch).heads
    probability = output["segmentation"].sigmoid()
    torch.testing.assert_close(found["segmentation"], probability, rtol=1e-3, atol=1e-4)
    heatmap = output["head"][0].heatmap
    torch.testing.assert_close(found["task0_heatmap"], heatmap, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--pooling", "padded"), "set --format onnx, torch-export or openvino"),
        (("--format", "onnx", "--half", "--int8", "--out", "a.onnx"), "--half and --int8 exclude"),
        (("--format", "onnx", "--int8-frames", "4"), "choices of --int8; add it, or omit them"),
        (("--int8-tolerance", "0.5"), "choices of --int8; add it, or omit them"),
        (("--format", "onnx", "--out", "a.pt"), "--out a.pt must end in .onnx"),
        (("--format", "torch-export", "--int8", "--out", "a.pt2"), "--int8 and --score need"),
    ],
)
def test_choices_that_do_not_fit_are_refused(single, options, message):
    _, error = call("export.py", single, *options, code=1)
    assert message in error and error.count("\n") == 1


def test_a_missing_package_names_the_extra(single):
    _, model, batch = opened(single, places=(1,))
    example = build_example(model, batch, GraphSettings())
    with (
        patch.dict(sys.modules, {"onnx": None}),
        pytest.raises(ConfigError, match=r"needs the package onnx; pip install 'bevlab\[export\]'"),
    ):
        onnx_model(example, GraphSettings())


@pytest.mark.parametrize("part", ["view", "head"])
def test_parts_without_a_graph_are_named(synthetic_world, tmp_path, part):
    name = {"view": "simplebev_synthetic", "head": "lss_synthetic"}[part]
    path = exported(name, synthetic_world, tmp_path)
    _, model, batch = opened(path, places=(1,))
    if part == "head":
        model.head = torch.nn.Identity()
    text = {
        "view": "view transform VoxelSampling cannot",
        "head": r"model.head \(Identity\) cannot",
    }
    with pytest.raises(ConfigError, match=text[part]):
        build_example(model, batch, GraphSettings())
