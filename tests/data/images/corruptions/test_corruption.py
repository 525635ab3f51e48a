"""Corruptions during loading: repeatable, before the crop, and the same in any worker."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from opened import opened
from torch.utils.data import DataLoader

from bev.data.augmentation import ImageAugmentation
from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.data.images.corruptions.augmentation import CorruptionAugmentation
from bev.data.images.corruptions.corruption import KINDS, Corruption
from bev.data.images.loading import decode, load_image
from bev.data.settings import DataConfig
from bev.errors import ConfigError


@pytest.fixture(scope="module")
def config_and_frames(synthetic_world):
    config = DataConfig(
        root=synthetic_world, version="v1.0-synthetic", image_size=(64, 176), workers=0
    )
    return config, opened(config).frames("synthetic_val")


def images(config_and_frames, corruption, index=0):
    config, frames = config_and_frames
    return KeyFrames(frames, config, False, corruption=corruption)[index].views.images[0]


def test_what_is_drawn_depends_on_seed_kind_severity_and_image_alone(config_and_frames):
    config, frames = config_and_frames
    data = KeyFrames(frames, config, False, corruption=Corruption("Snow", 2))
    order = partial(DataLoader, data, collate_fn=collate, batch_size=1)
    alone = {b.tokens[0]: b.views.images for b in order()}
    other = {b.tokens[0]: b.views.images for b in order(num_workers=1, sampler=[3, 1, 0, 2])}
    assert len(alone) == 4
    assert all(torch.equal(alone[token], other[token]) for token in alone)
    one = images(config_and_frames, Corruption("Snow", 2))
    assert torch.equal(one, alone[frames[0].token][0])
    assert not torch.equal(one, images(config_and_frames, Corruption("Snow", 2, seed=1)))
    # Other layers of snow: of cameras, of samples, and of severities.
    image = np.zeros((45, 80, 3), np.uint8)
    layers = [Corruption("Snow", s).apply(image, name) for s in (1, 2) for name in ("a", "b")]
    assert len({layer.tobytes() for layer in layers}) == 4


def test_an_image_is_the_same_as_that_of_an_adjacent_frame(config_and_frames):
    config, _ = config_and_frames
    config = replace(config, adjacent=replace(config.adjacent, previous=1))
    frames = opened(config).frames("synthetic_val")
    data = KeyFrames(frames, config, False, corruption=Corruption("LowLight", 3))
    assert torch.equal(data[1].adjacent[0].images, data[0].views.images)


def test_images_are_corrupted_at_their_full_size(config_and_frames):
    """The network's image is the warp of the corrupted whole image, reduced as by the decoder."""
    config, frames = config_and_frames
    camera, corruption = frames[0].cameras[0], Corruption("ColorQuant", 3)
    matrix = torch.diag(torch.tensor([0.2, 0.2, 1.0], dtype=torch.float64))
    name = camera.path.relative_to(config.root).as_posix()
    whole = corruption.apply(decode(camera.path), name)
    assert set(np.unique(whole)) <= {0, 64, 128, 192}
    decoder = corruption.decoder(camera.name, config.camera_names, config.root)
    reduced = decoder(camera.path, 2, camera.size)
    height, width = camera.size
    blocks = whole.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3))
    assert np.abs(reduced - blocks).max() <= 0.5
    found = load_image(camera, matrix, (64, 160), decoder)
    plain = load_image(camera, matrix, (64, 160))
    assert 20 < (plain.float() - found.float()).mean() < 45  # the mean of 6 lost bits: 31.5


def test_crashed_cameras_are_the_same_in_all_samples(config_and_frames):
    config, frames = config_and_frames
    for severity in (2, 4, 5):
        black = [
            [not bool(image.any()) for image in images(config_and_frames, c, index)]
            for c in [Corruption("CameraCrash", severity)]
            for index in (0, 3)
        ]
        assert black[0] == black[1] and 1 <= sum(black[0]) <= severity
    cameras = config.camera_names
    drawn = [
        [c for c in cameras if Corruption("CameraCrash", 4, seed).is_lost("", c, cameras)]
        for seed in range(400)
    ]
    # With replacement: 1 - (5/6)^4 of the cameras, each as often as the others.
    assert np.mean([len(one) for one in drawn]) == pytest.approx(6 * (1 - (5 / 6) ** 4), rel=0.05)
    counts = [sum(camera in one for one in drawn) for camera in cameras]
    assert min(counts) > 170 and max(counts) < 245


def test_lost_frames_are_drawn_for_each_image():
    lost = [Corruption("FrameLost", 2).is_lost(f"{n}", "a", ("a", "b")) for n in range(3000)]
    assert np.mean(lost) == pytest.approx(2 / 6, abs=0.03)


def test_a_severity_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="^ColorQuant has severities 1 to 4, not 5.$"):
        Corruption("ColorQuant", 5)
    assert str(Corruption("Fog", 5, 3)) == "Fog 5 seed 3"
    for kind in KINDS:
        Corruption(kind, 4)


def test_augmentation_corrupts_the_share_of_images_that_is_asked_for(config_and_frames):
    config, frames = config_and_frames
    setting = CorruptionAugmentation(0.5, ("Brightness",), (5,))
    drawn = [setting.drawn(seed) for seed in range(400)]
    assert 160 < sum(one is not None for one in drawn) < 240
    assert {(o.kind, o.severity) for o in drawn if o} == {("Brightness", 5)}
    assert CorruptionAugmentation(1.0, ("LowLight",), (5,)).drawn(0).severity == 4
    assert CorruptionAugmentation().drawn(0) is None
    off = replace(config, image_augmentation=ImageAugmentation.off())
    on = replace(off, image_augmentation=replace(off.image_augmentation, corruption=setting))
    pairs = [(KeyFrames(frames, one, True)[0].views.images[0]) for one in (off, on)]
    brighter = [(b.float() - a.float()).mean().item() > 10 for a, b in zip(*pairs, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(*pairs, strict=True)]
    assert any(brighter) and all(a != b for a, b in zip(brighter, same, strict=True))
    # Evaluation is never augmented.
    assert torch.equal(
        KeyFrames(frames, on, False)[0].views.images, KeyFrames(frames, off, False)[0].views.images
    )
