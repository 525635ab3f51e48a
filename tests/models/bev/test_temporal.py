"""Adjacent frames in one BEV: alignment to the sample's frame, and cached features."""

from dataclasses import replace

import pytest
import torch

from bev.data.batch import AdjacentViews, Views
from bev.errors import ConfigError, DataError
from bev.geometry import bev_transform
from bev.models import FeatureCache, TemporalConfig
from bev.models.flip_tta import flipped


def views_of(batch, ego_from_adjacent, seconds=-0.5, names=("before one", "before two")):
    """Adjacent views with the batch's images and cameras, but another pose."""
    return AdjacentViews(
        images=batch.views.images,
        cameras=batch.views.cameras,
        ego_from_adjacent=ego_from_adjacent.expand(2, 4, 4),
        seconds=torch.full((2,), seconds),
        names=list(names),
    )


def driven(metres):
    """``ego_from_adjacent`` after driving straight ahead."""
    matrix = torch.eye(4)
    matrix[0, 3] = -metres
    return matrix


@pytest.fixture()
def two_times(small):
    grid = replace(small.grid, y=(-16.0, 16.0, 1.0))  # symmetric
    return replace(small, grid=grid, temporal=TemporalConfig(num_adjacent=1))


def bev_parts(model, batch):
    """Input of the BEV encoder: features of the sample, of the adjacent frame, time plane."""
    seen = []
    handle = model.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(batch)
    handle.remove()
    channels = model.view.channels
    return seen[0].split([channels, channels, 1], dim=1)


def test_adjacent_features_are_aligned_with_the_samples_frame(batch, two_times):
    """After driving 4 cells ahead, adjacent features lie exactly 4 cells further back."""
    model = two_times.build().eval()
    step = two_times.grid.x[2]
    rest = replace(batch, adjacent=[views_of(batch, torch.eye(4))])
    moved = replace(batch, adjacent=[views_of(batch, driven(4 * step))])
    now, same, _ = bev_parts(model, rest)
    torch.testing.assert_close(now, same)
    now, past, plane = bev_parts(model, moved)
    torch.testing.assert_close(past[..., :-4], now[..., 4:], atol=1e-4, rtol=1e-3)
    assert (now[..., 4:] != 0).any()
    assert (plane == -0.5).all()


def test_without_times_only_features_are_joined():
    join = TemporalConfig(num_adjacent=2, times=False).build(4)
    maps = [torch.randn(1, 4, 3, 5) for _ in range(3)]
    joined = join(maps[0], maps[1:], [torch.tensor([-0.5]), torch.tensor([-1.0])])
    assert join.channels == 12
    assert torch.equal(joined, torch.cat(maps, dim=1))


def test_features_left_out_are_zero_behind_the_blocks_and_only_in_training(batch, two_times):
    """The encoder's weights for the adjacent frame then take no gradient."""
    config = replace(two_times, temporal=TemporalConfig(1, blocks=1, times=False))
    batch = replace(batch, adjacent=[views_of(batch, driven(2.0))])
    model, seen = config.build(), []
    model.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    for left_out in (True, False):
        model.zero_grad()
        model.temporal.left_out = left_out
        sum(model.loss(batch).values()).backward()
        weight = model.encoder.stages[0][0].conv1[0].weight
        now, past = weight.grad.split(model.view.channels, dim=1)
        assert now.any() and past.any() != left_out
    model.eval().temporal.left_out = True
    model(batch)
    zero = [not features.split(model.view.channels, dim=1)[1].any() for features in seen]
    assert zero == [True, False, False]


def test_the_first_block_may_have_a_convolution_on_its_shortcut():
    join = TemporalConfig(1, blocks=2, projection=True).build(4)
    shortcuts = {n: tuple(p.shape) for n, p in join.named_parameters() if "shortcut" in n}
    assert shortcuts == {"encode.0.shortcut.weight": (4, 4, 3, 3), "encode.0.shortcut.bias": (4,)}


def test_adjacent_features_follow_the_bev_augmentation(batch, two_times):
    """Mirroring the BEV mirrors the features of the sample and of the adjacent frame."""
    model = two_times.build().eval()
    mirror = bev_transform(flip_y=True)
    turned = torch.eye(4)
    turned[:2, :2] = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    views = views_of(batch, driven(3.0) @ turned)
    plain = bev_parts(model, replace(batch, adjacent=[views]))
    flipped = bev_parts(
        model, replace(batch, bev_from_ego=mirror @ batch.bev_from_ego, adjacent=[views])
    )
    for part, other in zip(plain, flipped, strict=True):
        inner = part[..., 1:-1, :].flip(-2)  # a point on a cell's border may fall on either side
        close = torch.isclose(other[..., 1:-1, :], inner, atol=1e-4).float().mean()
        assert close > 0.99


@pytest.mark.parametrize("gradient", [True, False])
def test_gradients_reach_adjacent_frames_only_if_enabled(batch, small, gradient):
    model = replace(small, temporal=TemporalConfig(1, blocks=1, gradient=gradient)).build()
    views = views_of(batch, driven(2.0))
    with torch.autocast("cpu", torch.bfloat16):
        sum(model.loss(replace(batch, adjacent=[views])).values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    # Adjacent features require gradients only where they are enabled.
    features = []
    handle = model.neck.register_forward_hook(lambda *args: features.append(args[2]))
    model(replace(batch, adjacent=[views]))
    handle.remove()
    assert [f.requires_grad for f in features] == [True, gradient]


def test_the_number_of_adjacent_frames_must_match(batch, two_times):
    with pytest.raises(DataError, match="carries 0 adjacent frames and the model joins 1"):
        two_times.build()(batch)
    with pytest.raises(ConfigError, match="at least 0"):
        TemporalConfig(num_adjacent=-1)


@pytest.mark.slow
def test_training_and_flip_tta_take_several_adjacent_frames(batch, two_times):
    config = replace(two_times, temporal=TemporalConfig(num_adjacent=2, blocks=1), flip_tta=True)
    both = [views_of(batch, driven(2.0)), views_of(batch, driven(4.0), seconds=-1.0)]
    batch = replace(batch, adjacent=both)
    model = config.build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = sum(model.loss(batch).values())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]
    assert len(model.eval().detect(batch)) == 2
    again = flipped(flipped(batch)).adjacent[1]
    assert torch.equal(again.images, batch.views.images)
    torch.testing.assert_close(
        again.cameras.image_from_camera, batch.views.cameras.image_from_camera
    )


def stream(batch):
    """Four frames of a drive, 2 m apart, each with the previous one; and copies without images
    of the previous frame."""
    generator = torch.Generator().manual_seed(3)
    whole, bare = [], []
    before = None
    for time in range(4):
        images = torch.randint(
            0, 255, batch.views.images.shape, generator=generator, dtype=torch.uint8
        )
        tokens = [f"drive {n}, time {time}" for n in range(2)]
        frame = replace(batch, views=Views(images, batch.views.cameras, tokens))
        past = before or frame
        views = views_of(past, driven(2.0), names=past.tokens)
        whole.append(replace(frame, adjacent=[views]))
        views = replace(views, images=views.images[..., :0, :0])
        bare.append(replace(frame, adjacent=[views]))
        before = frame
    return whole, bare


@pytest.mark.parametrize("mirror", [False, True])
def test_a_stream_with_a_feature_cache_equals_recomputing(batch, two_times, mirror):
    """Batches for the cache contain no images of previous frames."""
    model = replace(two_times, flip_tta=mirror).build().eval()
    looked = []
    model.backbone.register_forward_pre_hook(lambda _, args: looked.append(len(args[0])))
    whole, bare = stream(batch)
    expected = [model.detect(frame) for frame in whole]
    recomputed, looked[:] = sum(looked), []
    cache = FeatureCache(limit=4)
    found = [model.detect(frame, cache) for frame in bare]
    assert sum(looked) == recomputed / 2
    assert len(cache) == 4
    for one, other in zip(sum(expected, []), sum(found, []), strict=True):
        for name, value in vars(one).items():
            torch.testing.assert_close(
                getattr(other, name), value, atol=1e-4, rtol=1e-4, equal_nan=True
            )


def test_a_frame_missing_from_the_cache_is_named(batch, two_times):
    _, bare = stream(batch)
    with pytest.raises(DataError, match="drive 0, time 1 is not in the feature cache"):
        two_times.build().eval().detect(bare[2], FeatureCache())


def test_the_cache_drops_the_oldest_frames(cameras):
    cameras = cameras[[0, 0, 0]]
    cache, asked = FeatureCache(limit=2), []

    def compute(images):
        asked.append(images[:, 0, 0, 0, 0].tolist())
        return images.float()

    def get(*numbers):
        images = (
            torch.tensor(numbers, dtype=torch.uint8).view(-1, 1, 1, 1, 1).expand(-1, 1, 3, 2, 2)
        )
        views = Views(images, cameras[: len(numbers), :1], [str(n) for n in numbers])
        return cache.get(views, compute)[:, 0, 0, 0, 0].tolist()

    assert get(1, 2) == [1, 2]
    assert get(1) == [1]
    assert get(3, 2, 3) == [3, 2, 3]  # 1 was the oldest
    assert get(1, 4, 5) == [1, 4, 5]  # more at once than the limit
    assert get(4, 5) == [4, 5]
    assert asked == [[1, 2], [3, 3], [1, 4, 5]]
