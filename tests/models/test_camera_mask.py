"""Absent cameras do not affect outputs, losses, gradients or batch norms."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bev.data.batch import AdjacentViews, Batch, Views, collate
from bev.errors import DataError
from bev.models import (
    CameraAwareDepthNetConfig,
    DepthBins,
    DepthSupervisionConfig,
    DualViewTransformConfig,
    FeatureCache,
    ImageClassHeadConfig,
    LiftSplatConfig,
    TemporalConfig,
    VoxelSamplingConfig,
)
from bev.models.camera_mask import gather_valid, scatter_valid
from bev.models.flip_tta import flipped

LIFT = LiftSplatConfig(
    depth=DepthBins(1.0, 25.0, 1.0),
    depth_net=CameraAwareDepthNetConfig(width=16, blocks=1, aspp=False, batch_norm=True),
    channels=8,
    ray_features=True,
)


def sample(batch: Batch, index: int, cameras: list[int]) -> Batch:
    """One sample of a batch with some of its cameras."""
    one = slice(index, index + 1)
    return replace(
        batch,
        views=Views(
            batch.views.images[one][:, cameras],
            batch.views.cameras[one][:, cameras],
            batch.tokens[one],
        ),
        bev_from_ego=batch.bev_from_ego[one],
        boxes=batch.boxes[one],
        lidar=batch.lidar[one],
        global_from_ego=batch.global_from_ego[one],
    )


@pytest.fixture()
def config(small):
    """A detector with every part that depends on cameras."""
    return replace(
        small,
        view=LIFT,
        depth_supervision=DepthSupervisionConfig(1.0),
        image_head=ImageClassHeadConfig(1.0),
    )


@given(
    camera_mask=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=3),
    rest=st.sampled_from([(), (2,), (2, 3)]),
)
def test_scattering_inverts_gathering(camera_mask, rest):
    camera_mask = torch.tensor(camera_mask)
    values = torch.rand(*camera_mask.shape, *rest)
    valid = gather_valid(values, camera_mask)
    assert valid.shape == (int(camera_mask.sum()), *rest)
    back = scatter_valid(valid, camera_mask, len(camera_mask))
    assert torch.equal(back[camera_mask], values[camera_mask]) and not back[~camera_mask].any()
    assert torch.equal(scatter_valid(gather_valid(values, None), None, len(camera_mask)), values)


@pytest.mark.parametrize(
    ("kept", "version", "view"),
    [
        (([0, 1, 2], [0, 1]), flipped, LIFT),
        (([2], [0, 1, 2]), replace, VoxelSamplingConfig(channels=8)),
        (([1, 0], [2]), replace, DualViewTransformConfig(lift=LIFT)),
    ],
)
def test_the_output_is_that_of_the_present_cameras(batch, small, kept, version, view):
    model = replace(small, view=view).build().eval()
    alone = [sample(batch, i, own) for i, own in enumerate(kept)]
    joined = collate(alone)
    assert not joined.views.camera_mask.all()
    with torch.no_grad():
        together = model(version(joined))
        for i, one in enumerate(alone):
            single, count = model(version(one)), len(kept[i])
            for group, expected in zip(together.heads["head"], single.heads["head"], strict=True):
                for maps, wanted in zip(group, expected, strict=True):
                    torch.testing.assert_close(maps[i : i + 1], wanted, atol=1e-4, rtol=1e-4)
            assert not together.features.image[i, count:].any()
            if view.predicts_depth:
                assert together.features.depth_logits[i, count:].isfinite().all()


def test_adjacent_frames_may_lack_other_cameras_than_the_sample(batch, small):
    model = replace(small, temporal=TemporalConfig(num_adjacent=1)).build().eval()
    alone = []
    for i, (now, before) in enumerate([([0, 1], [0, 1, 2]), ([0, 1, 2], [2])]):
        views = sample(batch, i, before).views
        other = AdjacentViews(
            **vars(views), ego_from_adjacent=torch.eye(4)[None], seconds=torch.tensor([-0.5])
        )
        alone.append(replace(sample(batch, i, now), adjacent=[other]))
    joined = collate(alone)
    assert joined.views.camera_mask.sum(dim=1).tolist() == [2, 3]
    assert joined.adjacent[0].camera_mask.sum(dim=1).tolist() == [3, 1]
    with torch.no_grad():
        together = model(joined).heads["head"]
        for i, one in enumerate(alone):
            for group, expected in zip(together, model(one).heads["head"], strict=True):
                for maps, wanted in zip(group, expected, strict=True):
                    torch.testing.assert_close(maps[i : i + 1], wanted, atol=1e-4, rtol=1e-4)
    with pytest.raises(DataError, match="needs frames that have all cameras"):
        model.detect(joined, FeatureCache())


def test_an_absent_camera_does_not_affect_training(batch, config):
    """Loss, gradients and running statistics are finite and do not depend on its pixels."""
    joined = collate([sample(batch, 0, [0, 1, 2]), sample(batch, 1, [2])])
    other = joined.map_views(lambda views: replace(views, images=views.images.clone()))
    other.views.images[1, 1:] = 255
    results = []
    for version in (joined, other):
        torch.manual_seed(0)
        model = config.build().train()
        terms = model.loss(version)
        sum(terms.values()).backward()
        gradients = [p.grad for p in model.parameters()]
        assert all(g.isfinite().all() for g in gradients)
        results.append([*terms.values(), *gradients, *model.buffers()])
    for first, second in zip(*results, strict=True):
        assert torch.equal(first, second)


def test_batch_norms_and_image_losses_use_only_the_present_cameras(batch, config):
    """Four images as two samples, 3 + 1 with two absent, and as one sample of four cameras."""
    images = batch.views.images[:1].expand(2, -1, -1, -1, -1)
    twice = replace(batch, views=replace(batch.views, images=images),
                    boxes=batch.boxes[:1] * 2, lidar=batch.lidar[:1] * 2)  # fmt: skip
    uneven = collate([sample(twice, 0, [0, 1, 2]), sample(twice, 1, [0])])
    whole = collate([sample(twice, 0, [0, 1, 2, 0])])
    found = []
    for version in (uneven, whole):
        torch.manual_seed(0)
        model = config.build().train()
        terms = model.loss(version)
        parts = [*model.backbone.modules(), *model.neck.modules(), *model.view.modules()]
        norms = [part for part in parts if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
        assert len(norms) > 5
        statistics = [v for norm in norms for v in (norm.running_mean, norm.running_var)]
        found.append([terms["depth"], terms["image"], *statistics])
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first, second, atol=1e-6, rtol=1e-5)


def test_a_sample_without_any_camera_has_an_empty_bev(batch, small):
    model = small.build().eval()
    joined = collate([sample(batch, 0, [0, 1, 2]), sample(batch, 1, [0])])
    camera_mask = torch.tensor([[True] * 3, [False] * 3])
    blind = replace(joined, views=replace(joined.views, camera_mask=camera_mask))
    nan = torch.full_like(blind.views.cameras.ego_from_camera[1], torch.nan)
    blind.views.cameras.ego_from_camera[1] = nan
    with torch.no_grad():
        features = scatter_valid(torch.rand(3, 16, 8, 20), camera_mask, 2)
        bev = model.view(
            features, blind.image_size, blind.views.cameras, blind.bev_from_ego, camera_mask
        ).bev
        assert bev[0].any() and not bev[1].any()
        assert all(g.heatmap.isfinite().all() for g in model(blind).heads["head"])
