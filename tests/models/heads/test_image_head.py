"""Image-space targets: boxes are marked in the feature cells where a camera sees them."""

from dataclasses import replace

import pytest
import torch
from specs import spec

from bev.geometry import BevGrid, Boxes3D
from bev.models import Features, ImageClassHeadConfig
from bev.models.heads.image import image_heatmaps

IMAGE = (64, 160)


def boxes_at(*centers, visibility=0):
    count = len(centers)
    return Boxes3D.make(
        torch.tensor(centers),
        torch.tensor([[4.0, 2.0, 1.6]]).expand(count, 3),
        torch.zeros(count),
        label=torch.full((count,), 3),
        visibility=torch.full((count,), visibility),
    )


def test_heatmaps_of_a_worked_box(cameras):
    # Camera 0 stands at (0.5, 0.2, 1.5), f = 80, centre (80, 32): a box at (20.5, 5.2, 0.5) is seen
    # at x = 80 - 80 * 5 / 20 = 60, y = 32 + 80 * 1 / 20 = 36, so in column 7, row 4 at stride 8.
    heatmaps = image_heatmaps(boxes_at((20.5, 5.2, 0.5)), 10, cameras[0], IMAGE, (8, 20), 8)
    assert heatmaps.shape == (3, 10, 8, 20)
    assert heatmaps[0, 3, 4, 7] == 1
    assert (heatmaps == 1).sum() == 1
    # The nearer end is 18 m away, 2 m wide and 1.6 m high: about 10 x 8 pixels, so the spread is
    # the least one, half a cell: one cell away exp(-2).
    assert heatmaps[0, 3, 4, 8].item() == pytest.approx(0.1353, abs=1e-3)
    assert not heatmaps[1:].any() and not heatmaps[0, [0, 1, 2, 4]].any()


def test_boxes_that_no_camera_sees_are_left_out(cameras):
    # Inside the camera ring, above the images, and of low visibility.
    close = image_heatmaps(boxes_at((0.5, 0.2, 1.0)), 10, cameras[0], IMAGE, (8, 20), 8)
    above = image_heatmaps(boxes_at((10.0, 0.2, 20.0)), 10, cameras[0], IMAGE, (8, 20), 8)
    hidden = image_heatmaps(
        boxes_at((20.5, 5.2, 0.5), visibility=1), 10, cameras[0], IMAGE, (8, 20), 8
    )
    assert not close.any() and not above.any() and not hidden.any()


def test_a_gradient_step_lowers_the_loss(batch):
    head = ImageClassHeadConfig(1.0).build(spec(4, BevGrid()))

    def loss_of(images, batch):
        (value,) = head.loss(head(Features(images[:, 0], images, None)), batch).values()
        return value

    images = torch.zeros(2, 3, 4, 8, 20, requires_grad=True)
    loss = loss_of(images, batch)
    (gradient,) = torch.autograd.grad(loss, images)
    assert loss_of(images - 5 * gradient, batch) < loss
    empty = loss_of(images, replace(batch, boxes=[Boxes3D.empty()] * 2))
    assert empty.isfinite() and empty > 0


def test_the_image_head_adds_a_loss_term(batch, small):
    model = replace(small, image_head=ImageClassHeadConfig(0.5)).build()
    terms = model.loss(batch)
    assert terms["image"].isfinite()
    terms["image"].backward()
    assert model.image_head.classify.weight.grad.abs().sum() > 0
    assert model.backbone.body.conv1[0].weight.grad.abs().sum() > 0
    plain = small.build()
    missing = set(model.state_dict()) ^ set(plain.state_dict())
    assert missing == {"image_head.classify.weight", "image_head.classify.bias"}
