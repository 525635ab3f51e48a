"""The detector as a whole, its backbone, and the parameter counts of the published recipe."""

from dataclasses import replace

import pytest
import torch

from bev.data.batch import Views
from bev.data.nuscenes.classes import NUSCENES
from bev.errors import ConfigError, DataError, WeightsError
from bev.geometry import bev_transform
from bev.models import (
    BackboneConfig,
    DepthBins,
    DepthSupervisionConfig,
    DetectorConfig,
    ImageClassHeadConfig,
    LiftSplatConfig,
)


def test_every_parameter_gets_a_gradient(batch, small):
    """DDP refuses parameters without one."""
    model = replace(
        small, depth_supervision=DepthSupervisionConfig(1.0), image_head=ImageClassHeadConfig(1.0)
    ).build()
    terms = model.loss(batch)
    assert set(terms) == {"heatmap", "regression", "depth", "image"}
    sum(terms.values()).backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    assert missing == []
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_training_lowers_the_loss_and_finds_the_boxes(batch, small):
    torch.manual_seed(0)
    model = small.build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = sum(model.loss(batch).values())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    found = model.detect(batch)  # batch statistics, as in training
    best = found[0][:2]
    assert set(best.label.tolist()) == {0, 8}
    for index, label in enumerate((0, 8)):
        box = best[best.label == label]
        distance = (box.center - batch.boxes[0].center[index]).norm()
        assert distance < 1.0, (label, distance)


def test_detection_does_not_depend_on_the_rest_of_the_batch(batch, small):
    model = small.build().eval()
    both = model(batch)
    alone = model(
        replace(
            batch,
            views=Views(batch.views.images[1:], batch.views.cameras[1:], batch.tokens[1:]),
            bev_from_ego=batch.bev_from_ego[1:],
            boxes=batch.boxes[1:],
            lidar=batch.lidar[1:],
            global_from_ego=batch.global_from_ego[1:],
        )
    )
    for group, single in zip(both.heads["head"], alone.heads["head"], strict=True):
        torch.testing.assert_close(group.heatmap[1:], single.heatmap, atol=1e-4, rtol=1e-4)


def test_parameter_counts_of_the_published_recipe():
    model = DetectorConfig(labels=NUSCENES, backbone=BackboneConfig(pretrained=False)).build()
    counts = {name: sum(p.numel() for p in part.parameters()) / 1e6
              for name, part in model.named_children()}  # fmt: skip
    # Millions; the BEV encoder is BEVDet's backbone (19.4) and neck (7.3).
    published = {
        "backbone": 23.5, "neck": 3.9, "view": 0.07, "temporal": 0.0, "encoder": 26.7, "head": 1.5,
        "depth_supervision": 0.0,
    }  # fmt: skip
    assert counts == pytest.approx(published, rel=0.02)


def test_images_are_normalised_as_the_backbone_requires():
    for name, mean in (("resnet10t", 0.485), ("tf_efficientnet_lite0", 0.5)):
        backbone = BackboneConfig(name, pretrained=False, strides=(16,)).build()
        assert backbone.mean.flatten()[0].item() == pytest.approx(255 * mean, rel=1e-4)


def test_feature_maps_have_the_requested_strides():
    for name in ("resnet18", "tf_efficientnet_lite0", "regnetx_002"):
        backbone = BackboneConfig(name, pretrained=False, strides=(8, 32)).build()
        images = torch.zeros(1, 3, 64, 96, dtype=torch.uint8)
        maps = backbone(images)
        assert [tuple(m.shape[2:]) for m in maps] == [(8, 12), (2, 3)]
        assert [m.shape[1] for m in maps] == list(backbone.channels)


def test_frozen_stages_stay_fixed():
    config = BackboneConfig("resnet18", pretrained=False, strides=(16, 32), frozen_stages=1)
    backbone = config.build().train()
    trained = {name.split(".")[1] for name, p in backbone.named_parameters() if p.requires_grad}
    assert trained == {"layer2", "layer3", "layer4"}
    before = backbone.body.bn1.running_mean.clone()
    backbone(torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8))
    assert torch.equal(backbone.body.bn1.running_mean, before)


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("tf_efficientnet_lite0", {"blocks.2", "blocks.3", "blocks.4", "blocks.5", "blocks.6"}),
        ("convnext_atto", {"stages_1", "stages_2", "stages_3"}),
    ],
)
def test_frozen_stages_may_be_within_a_part_of_the_model(name, trained):
    """The first stage ends at stride 4, whatever timm calls it."""
    backbone = BackboneConfig(name, pretrained=False, frozen_stages=1).build()
    parts = [n.removeprefix("body.") for n, p in backbone.named_parameters() if p.requires_grad]
    assert {part[: len("blocks.0")] for part in parts} == trained
    with pytest.raises(ConfigError, match="frozen_stages=9 does not fit this backbone"):
        BackboneConfig(name, pretrained=False, frozen_stages=9).build()


def test_local_weights_are_loaded(tmp_path):
    config = BackboneConfig("resnet10t", pretrained=False, strides=(16, 32))
    source = config.build()
    path = tmp_path / "weights.pth"
    torch.save(source.body.state_dict(), path)
    loaded = replace(config, weights=path).build()
    for name, value in source.body.state_dict().items():
        assert torch.equal(loaded.body.state_dict()[name], value), name
    with pytest.raises(WeightsError, match="does not exist|do not exist"):
        replace(config, weights=tmp_path / "none.pth").build()
    with pytest.raises(WeightsError, match=r"do not fit resnet18.*the first is"):
        BackboneConfig("resnet18", weights=path).build()
    partial = source.body.state_dict()
    partial.pop("layer1.0.conv1.weight")
    torch.save(partial, path)
    with pytest.raises(WeightsError, match=r"1 of \d+ tensors.*layer1.0.conv1.weight"):
        replace(config, weights=path).build()
    path.write_text("no weights")
    with pytest.raises(WeightsError, match="cannot be read"):
        replace(config, weights=path).build()


def test_pretrained_weights_that_cannot_be_fetched_name_two_remedies(monkeypatch):
    import timm.models._builder

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(timm.models._builder, "load_pretrained", offline)
    with pytest.raises(WeightsError, match=r"no network.*--model.backbone.no-pretrained.*weights"):
        BackboneConfig("resnet18", pretrained=True).build()


def test_invalid_settings_are_named(small, batch):
    with pytest.raises(ConfigError, match=r"'resnet51' is not a model.*resnet5"):
        BackboneConfig("resnet51").build()
    with pytest.raises(ConfigError, match=r"strides \[2, 4, 8, 16, 32\], not \[64\]"):
        BackboneConfig("resnet18", pretrained=False, strides=(16, 64)).build()
    with pytest.raises(ConfigError, match="divides the range"):
        DepthBins(1.0, 60.0, 0.7)
    with pytest.raises(ConfigError, match="'lorry' is unknown"):
        replace(small, head=replace(small.head, tasks=(("lorry",),))).build()
    with pytest.raises(DataError, match="--data.lidar"):
        empty = replace(batch, lidar=[points[:0] for points in batch.lidar])
        replace(small, depth_supervision=DepthSupervisionConfig(1.0)).build().loss(empty)


def test_mirrored_images_with_a_mirrored_bev_give_a_mirrored_scene(batch, small):
    """Flipping images, calibration and BEV together moves every frustum point to its mirror."""
    config = replace(small, view=LiftSplatConfig(depth=DepthBins(1.0, 25.0, 1.0), channels=8))
    view = config.build().view.eval()
    features = torch.randn(2, 3, 16, 8, 20)
    plain = view(features, (64, 160), batch.views.cameras, batch.bev_from_ego).bev
    flip = torch.tensor([[-1.0, 0, 160], [0, 1, 0], [0, 0, 1]])
    flipped_cameras = replace(
        batch.views.cameras, image_from_original=flip @ batch.views.cameras.image_from_original
    )
    # Mirror in y about the grid's own middle (y = 4), where rows reverse.
    mirror = bev_transform(flip_y=True)
    mirror[1, 3] = 8.0
    mirrored = view(features.flip(-1), (64, 160), flipped_cameras, mirror.expand(2, 4, 4)).bev
    torch.testing.assert_close(mirrored.flip(2), plain, atol=1e-4, rtol=1e-4)
