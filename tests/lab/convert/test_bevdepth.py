"""Converted BEVDepth weights reproduce the outputs of the published network, block by block."""

import pytest
import reference
import torch
from published_tables import random_weights
from small_inputs import IMAGE, assert_equal, small, two_cameras

from bev.lab.convert.published import convert
from bev.models import Features


@pytest.fixture(
    scope="module", params=[pytest.param("bevdepth-1key", marks=pytest.mark.slow), "bevdepth-2key"]
)
def pair(request, configs):
    """Published state dict, converted model on a small grid, and its config."""
    published = random_weights(request.param)
    conversion = convert(published, configs, request.param)
    config = small(conversion.config)
    model = config.model.build().eval()
    model.load_state_dict(conversion.weights)
    with torch.no_grad():
        yield published, model, config


def test_the_network_gives_the_published_maps(pair):
    s, model, config = pair
    batch = two_cameras(config)
    bevs = []
    views = [(batch.views, batch.bev_from_ego)]
    views += [(other, batch.bev_from_ego @ other.ego_from_adjacent) for other in batch.adjacent]
    for view, bev_from_ego in views:
        images = reference.normalised(view.images[0], bgr=True)
        levels = reference.resnet50(s, "backbone.img_backbone", images)
        at = "backbone.img_neck"
        features = reference.second_fpn(s, at, levels, (0.25, 0.5, 1, 2))
        assert_equal(model.neck(model.backbone(view.images[0])), features)

        numbers = reference.camera_numbers(view.cameras[0], bev_from_ego[0])
        logits, context = reference.depth_net(s, "backbone.depth_net", features, numbers)
        net = model.view.depth_net
        ours = net(features[None], IMAGE, view.cameras, bev_from_ego)
        assert_equal(ours.logits[0], logits.permute(0, 2, 3, 1))
        assert_equal(ours.context[0], context)

        bev = reference.lift_splat(
            logits.softmax(dim=1), context, view.cameras[0], bev_from_ego[0], IMAGE,
            torch.arange(2.0, 58.0, 0.5), config.model.grid,
        )[None]  # fmt: skip
        assert_equal(model.view(features[None], IMAGE, view.cameras, bev_from_ego).bev, bev)
        bevs.append(bev)

    joined = torch.cat(bevs, dim=1)
    levels = reference.trunk(s, "head.trunk", joined)
    encoded = reference.second_fpn(s, "head.neck", levels, (1, 2, 4, 8))
    assert_equal(model.encoder(joined), encoded)
    maps = reference.center_head(s, "head", encoded, 6)
    names = {
        "offset": "reg", "height": "height", "size": "dim", "heading": "rot", "velocity": "vel",
    }  # fmt: skip
    # The head alone, and the whole network, in which rounding errors add up.
    alone = model.head(Features(encoded, features[None], None))
    for outputs, tolerance in ((alone, 1e-5), (model(batch).heads["head"], 1e-4)):
        for output, theirs in zip(outputs, maps, strict=True):
            assert_equal(output.heatmap, theirs["heatmap"], tolerance)
            for own, name in names.items():
                assert_equal(getattr(output, own), theirs[name], tolerance)
