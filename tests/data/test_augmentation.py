"""Drawn augmentation: images that are resized to less than the network's width."""

from dataclasses import replace

import numpy as np
import pytest

from bev.data.augmentation import BevAugmentation, ImageAugmentation, draw

SIZES, IMAGE = [(900, 1600)] * 6, (256, 704)
PLAIN = ImageAugmentation(flip="off", rotation=0.0)


def edges(image, seed):
    """Scale and left edge (network pixels) of each image of a draw."""
    drawn = draw(image, BevAugmentation.off(), SIZES, IMAGE, np.random.default_rng(seed))
    return [(m[0, 0].item(), m[0, 2].item()) for m in drawn.image_from_original]


def test_narrow_images_stay_at_the_left_edge_where_published():
    """Published code crops from int(uniform(0, max(0, width - 704))): 0 for a narrow image."""
    narrow = wide = 0
    for seed in range(40):
        ours, published = (edges(replace(PLAIN, narrow_left=on), seed) for on in (False, True))
        for (scale, left), (same, theirs) in zip(ours, published, strict=True):
            assert scale == same  # the switch draws no other numbers
            if scale * 1600 < 704:
                narrow += 1
                assert theirs == 0
                assert left == pytest.approx((704 - scale * 1600) / 2)
            else:
                wide += 1
                assert theirs == left <= 0
    # An offset is below 0 in 6 of 17 draws.
    assert narrow / (narrow + wide) == pytest.approx(6 / 17, abs=0.1)


def test_evaluation_keeps_the_place_of_narrow_images():
    still = replace(PLAIN, narrow_left=True).still(-0.06)
    assert edges(still, 0)[0] == (pytest.approx(0.38), 0)
    assert edges(PLAIN.still(-0.06), 0)[0][1] == pytest.approx((704 - 0.38 * 1600) / 2)
    assert edges(still, 0) == edges(still, 1)
