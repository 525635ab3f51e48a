"""A detector prepared for inference predicts what it did before."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bev import load_detector
from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.errors import ConfigError
from bev.inference.prepare import box_heads, prepare_for_inference
from bev.models import SegmentationHeadConfig
from bev.models.layers import BATCH_NORMS
from bev.training.checkpoint import load_checkpoint


def batches(config):
    """Batches of two frames of the synthetic world, whose rigs differ."""
    frames = config.data.source.open(config.data).frames("synthetic_val")
    samples = KeyFrames(frames, config.data, training=False)
    found = [collate([samples[0], samples[1]]), collate([samples[len(frames) - 1], samples[1]])]
    rigs = [batch.views.cameras.ego_from_camera for batch in found]
    assert not torch.equal(*rigs)
    return found


def close(found, expected):
    """Check boxes of a trained model: each has one within 1e-4 among the others, in any order."""

    def numbers(boxes):
        columns = (boxes.center, boxes.size, boxes.velocity, boxes.yaw.cos()[:, None])
        more = (boxes.yaw.sin()[:, None], boxes.score[:, None], 10 * boxes.label[:, None])
        return torch.cat([*columns, *more], dim=1).double()

    assert len(found) == len(expected) > 0
    apart = (numbers(found)[:, None] - numbers(expected)).abs().amax(dim=2)
    assert apart.amin(dim=0).max() < 1e-4 and apart.amin(dim=1).max() < 1e-4


@pytest.mark.parametrize(("source", "flip_tta"), [("single", True), ("temporal", False)])
def test_outputs_stay_equal(source, flip_tta, request):
    config, model = load_checkpoint(request.getfixturevalue(source), flip_tta)
    with torch.no_grad():
        first, second = batches(config)
        expected = model(first).heads["head"]
        prepare_for_inference(model)
        assert not any(isinstance(one, BATCH_NORMS) for one in model.modules())
        for batch in (first, second, first):  # the geometry is kept at last
            found = model(batch).heads["head"]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        assert len(model.detect(first)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("flip_tta", [False, True])
@pytest.mark.parametrize("source", ["synthetic", "synthetic-temporal"])
def test_boxes_of_shipped_models_stay_equal(source, flip_tta, synthetic_world):
    config, model = load_checkpoint(Path(source), flip_tta)
    data = replace(config.data, root=synthetic_world)
    frames = data.source.open(data).frames("synthetic_val")
    samples = KeyFrames(frames, data, training=False)
    expected = [model.detect(collate([samples[i]]))[0] for i in range(3)]
    prepare_for_inference(model)
    for i, boxes in enumerate(expected):
        close(model.detect(collate([samples[i]]))[0], boxes)


def test_only_the_heads_asked_for_are_computed(single):
    config, model = load_checkpoint(single)
    segmented = replace(config.model, segmentation=SegmentationHeadConfig(("vehicle",)))
    model = prepare_for_inference(segmented.build(), heads=["head"])
    batch = batches(config)[0]
    assert set(model.predict(batch).results) == {"head"} == set(box_heads(model))
    assert set(segmented.heads) > {"head", "segmentation"}
    with pytest.raises(ConfigError, match="no head 'lanes'; its heads are head"):
        prepare_for_inference(model, heads=["lanes"])


def test_detectors_are_prepared(single):
    model = load_detector(single, "cpu").model
    assert model.view.kept is not None and not any(p.requires_grad for p in model.parameters())
    assert "depth_supervision" in model.left_out
