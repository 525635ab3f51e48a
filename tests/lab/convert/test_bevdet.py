"""Converted BEVDet weights reproduce the outputs of the published network, block by block."""

from dataclasses import replace

import pytest
import reference
import torch
from published_tables import random_weights
from small_inputs import IMAGE, assert_equal, small, two_cameras

from bev.data.nuscenes.classes import CLASSES, NUSCENES
from bev.lab.convert.published import convert
from bev.models import Features
from bev.models.heads.center.decode import decode
from bev.models.heads.center.targets import REGRESSION

FAMILIES = (
    "bevdet-first",
    pytest.param("bevdet-dev2.0", marks=pytest.mark.slow),
    "bevdet-dev2.1",
)


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request, configs):
    """Family, published state dict, converted model on a small grid, and its config."""
    published = random_weights(request.param)
    conversion = convert(published, configs, request.param)
    config = small(conversion.config)
    model = config.model.build().eval()
    model.load_state_dict(conversion.weights)
    with torch.no_grad():
        yield request.param, published, model, config


def test_the_network_gives_the_published_maps(pair):
    family, s, model, config = pair
    batch, first = two_cameras(config), family == "bevdet-first"
    net = "depthnet" if first else "depth_net"

    images = reference.normalised(batch.views.images[0], bgr=not first)
    levels = reference.resnet50(s, "img_backbone", images)
    ours = model.backbone(batch.views.images[0])
    for mine, theirs in zip(ours, levels[2:], strict=True):
        assert_equal(mine, theirs)

    features = reference.fpn(s, "img_neck", *levels[2:])
    assert_equal(model.neck(ours), features)

    both = reference.conv(s, f"img_view_transformer.{net}", features)
    bins = config.model.view.depth.bins
    depth, context = both[:, :bins].softmax(dim=1), both[:, bins:]
    bev = reference.lift_splat(
        depth, context, batch.views.cameras[0], batch.bev_from_ego[0], IMAGE,
        torch.arange(1.0, 60.0), config.model.grid,
    )[None]  # fmt: skip
    assert (bev != 0).any(dim=1).sum() > 50
    lifted = model.view(features[None], IMAGE, batch.views.cameras, batch.bev_from_ego).bev
    assert_equal(lifted, bev)

    stages = reference.custom_resnet(s, "img_bev_encoder_backbone", bev)
    encoded = reference.fpn_lss(s, "img_bev_encoder_neck", stages[0], stages[2])
    assert_equal(model.encoder(bev), encoded)

    tasks = len(config.model.head.resolved_tasks(NUSCENES))
    maps = reference.center_head(s, "pts_bbox_head", encoded, tasks)
    whole = model(batch).heads["head"]  # rounding errors of all blocks add up
    for task, output in enumerate(model.head(Features(encoded, features[None], None))):
        assert_equal(output.heatmap, maps[task]["heatmap"])
        assert_equal(whole[task].heatmap, maps[task]["heatmap"], 1e-4)
        for name in REGRESSION:
            assert_equal(getattr(whole[task], name), getattr(output, name), 1e-4)
        of_sample = {name: value[0] for name, value in maps[task].items()}
        grid = config.model.grid
        theirs = reference.decode(of_sample, (grid.x[0], grid.y[0]), grid.x[2], 40, first)
        options = replace(config.model.head.decode, score=0.0, nms="none", pre_max_size=40)
        group = CLASSES[: output.heatmap.shape[1]]
        boxes = decode(output, group, NUSCENES, grid, options.resolved(NUSCENES))[0]
        expected = theirs[:, [*range(6), 7, 8, 9]]
        found = torch.cat(
            [boxes.center, boxes.size, boxes.velocity, boxes.score[:, None]], dim=1
        )  # fmt: skip
        # Compare each box with the nearest: rounding may swap boxes with nearly equal scores.
        nearest = torch.cdist(expected, found).argmin(dim=1)
        assert nearest.unique().numel() == len(boxes) == 40
        boxes, found = boxes[nearest], found[nearest]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        turn = torch.remainder(boxes.yaw - theirs[:, 6] + torch.pi, 2 * torch.pi) - torch.pi
        assert turn.abs().max() < 1e-3
        assert boxes.label.tolist() == theirs[:, 10].long().tolist()
