"""Batches of samples with different camera rigs."""

from dataclasses import is_dataclass, replace

import pytest
import torch

from bev.data.batch import AdjacentViews, Batch, Views, collate
from bev.geometry import Boxes3D, Cameras, KannalaBrandt, MixedLens, Pinhole, stack_lenses


def sample(cameras: int) -> Batch:
    matrices = {
        "intrinsics": torch.rand(1, cameras, 3, 3),
        "ego_from_camera": torch.eye(4).expand(1, cameras, 4, 4),
        "image_from_original": torch.rand(1, cameras, 3, 3),
    }
    images = torch.randint(1, 255, (1, cameras, 3, 4, 6), dtype=torch.uint8)
    return Batch(
        views=Views(images, Cameras(**matrices), [str(cameras)]),
        bev_from_ego=torch.eye(4)[None],
        boxes=[Boxes3D.empty()],
        lidar=[torch.zeros(0, 3)],
        global_from_ego=torch.eye(4, dtype=torch.float64)[None],
    )


def test_samples_are_padded_to_the_largest_rig():
    samples = [sample(2), sample(4), sample(1)]
    batch = collate(samples)
    expected = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]).bool()
    assert torch.equal(batch.views.camera_mask, expected)
    assert not batch.views.images[~expected].any()
    for i, one in enumerate(samples):
        count = one.views.images.shape[1]
        assert torch.equal(batch.views.images[i, :count], one.views.images[0])
        assert torch.equal(
            batch.views.cameras.intrinsics[i, :count], one.views.cameras.intrinsics[0]
        )
    # An absent camera sees no point, and its rays are NaN.
    absent = batch.views.cameras[~expected]
    pixels, depth = absent.project(torch.rand(5, 7, 3))
    assert not (depth > 0).any() and not (pixels >= 0).any()
    assert absent.unproject(torch.rand(5, 7, 2), torch.ones(5, 7)).isnan().all()
    moved = batch.to("cpu")
    assert (
        torch.equal(moved.views.camera_mask, expected) and moved.views.images.dtype == torch.uint8
    )


def with_lenses(*lenses) -> Batch:
    """A sample whose cameras have these lenses."""
    one = sample(len(lenses))
    lens = stack_lenses([lens.to(torch.float32) for lens in lenses])[None]
    return replace(one, views=replace(one.views, cameras=replace(one.views.cameras, lens=lens)))


def test_rigs_with_different_lenses(monkeypatch):
    """Each camera keeps its lens through collating, padding, pinning and moving."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", torch.Tensor.clone)  # needs a GPU
    wide, wider = KannalaBrandt.make((0.02, 0, 0, 0), 1.5), KannalaBrandt.make((0, 0, 0, 0), 1.6)
    samples = [
        with_lenses(Pinhole(), wide), with_lenses(wider), with_lenses(*[Pinhole()] * 3)
    ]  # fmt: skip
    batch = collate(samples).pin_memory().to("cpu")
    points = torch.randn(3, 3, 5, 3)
    pixels, depth = batch.views.cameras.project(points)
    for i, one in enumerate(samples):
        count = one.views.images.shape[1]
        alone = one.views.cameras.project(points[i : i + 1, :count])
        torch.testing.assert_close(pixels[i, :count], alone[0][0], rtol=0, atol=0)
        torch.testing.assert_close(depth[i, :count], alone[1][0], rtol=0, atol=0)
    absent = batch.views.cameras[~batch.views.camera_mask]
    assert not (absent.project(torch.rand(3, 7, 3))[1] > 0).any()
    assert absent.unproject(torch.rand(3, 7, 2), torch.ones(3, 7)).isnan().all()
    assert type(batch.views.cameras.lens) is MixedLens
    assert collate(samples[2:]).views.cameras.lens == Pinhole()
    same = collate([with_lenses(wide, wider), with_lenses(wider)]).views.cameras.lens
    assert type(same) is KannalaBrandt and same.coefficients.shape == (2, 2, 4)


@pytest.mark.parametrize("count", [1, 3])
def test_equal_rigs_have_no_camera_mask(count):
    batch = collate([sample(count), sample(count)])
    assert batch.views.camera_mask is None and batch.to("cpu").views.camera_mask is None
    assert replace(batch).views.images.shape == (2, count, 3, 4, 6)


def tensors(value) -> list[torch.Tensor]:
    """All tensors of a batch except ``global_from_ego``."""
    if isinstance(value, torch.Tensor):
        return [value]
    if is_dataclass(value):
        value = [part for name, part in vars(value).items() if name != "global_from_ego"]
    return [t for part in value or () if not isinstance(part, str) for t in tensors(part)]


def test_adjacent_views_move_with_the_batch(monkeypatch):
    """All tensors move; names, poses and times of the adjacent frames are kept."""
    one, other = sample(2), sample(3)
    place = {"ego_from_adjacent": torch.eye(4)[None], "seconds": torch.tensor([-0.5])}
    samples = [replace(s, adjacent=[AdjacentViews(**vars(s.views), **place)]) for s in (one, other)]
    batch = collate(samples)
    assert batch.adjacent[0].names == batch.tokens == ["2", "3"]
    moved = batch.to("meta")
    assert len(tensors(moved)) == len(tensors(batch)) > 12
    assert all(t.is_meta for t in tensors(moved)) and not moved.global_from_ego.is_meta
    assert moved.adjacent[0].names == moved.tokens == batch.tokens
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self.to("meta"))
    pinned = batch.pin_memory()
    assert all(t.is_meta for t in tensors(pinned)) and len(tensors(pinned)) == len(tensors(batch))
    assert isinstance(pinned.adjacent[0], AdjacentViews) and pinned.tokens == batch.tokens
