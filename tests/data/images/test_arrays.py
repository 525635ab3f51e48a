"""Images in memory: every kind of number becomes the same 8 bits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bev.data.images.arrays import as_bgr, decoder
from bev.errors import DataError

RGB = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("image", "settings"),
    [
        (RGB, {}),
        (RGB[..., ::-1], {"channels": "bgr"}),
        (torch.from_numpy(RGB), {}),
        (Image.fromarray(RGB), {}),
        (RGB / 255, {}),
        ((RGB / 255).astype(np.float16), {}),
        (torch.from_numpy(RGB).bfloat16(), {"white": 255}),
        (RGB.astype(np.float32), {"white": 255}),
        (RGB.astype(np.uint16) * 257, {"white": 65535}),
        (RGB.astype(np.int64) * 16, {"white": 4080}),
    ],
    ids=[
        "rgb", "bgr", "tensor", "PIL", "float64", "float16", "bfloat16", "float to 255", "16 bits",
        "12 bits",
    ],
)  # fmt: skip
def test_every_kind_of_numbers_is_read(image, settings):
    assert np.array_equal(as_bgr(image, "it", **settings), RGB[..., ::-1])


@pytest.mark.parametrize(
    ("image", "settings", "words"),
    [
        (RGB[..., 0], {}, r"\(4, 6\)"),
        (RGB.transpose(2, 0, 1), {}, r"\(3, 4, 6\)"),
        (np.zeros((4, 6, 4), np.uint8), {}, r"\(4, 6, 4\)"),
        (np.zeros((0, 6, 3), np.uint8), {}, r"\(0, 6, 3\)"),
        (RGB.astype(np.uint16), {}, "uint16, whose range is unknown; pass white"),
        (RGB.astype(np.float32), {}, "from 0 to 1; pass white"),
        (RGB / 255 - 0.5, {}, "from 0 to 1"),
        (np.full((4, 6, 3), np.nan), {}, "nan"),
        (RGB.astype(np.uint16), {"white": 100}, "from 0 to 100"),
        (RGB, {"white": 0}, "white=0; pass the number of full brightness"),
        (RGB, {"white": np.nan}, "white=nan"),
    ],
)
def test_an_image_that_cannot_be_read_is_named(image, settings, words):
    with pytest.raises(DataError, match=f"it has .*{words}"):
        as_bgr(image, "it", **settings)


def test_a_reduced_image_is_the_mean_of_blocks():
    path = Path("<one>")
    image = RGB[..., ::-1].copy()
    reduced = decoder({path: image})(path, 2, (4, 6))
    blocks = image.reshape(2, 2, 3, 2, 3).mean(axis=(1, 3))
    assert np.abs(reduced - blocks).max() <= 0.5


def test_other_paths_are_files(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "one.png")
    assert np.array_equal(decoder({})(tmp_path / "one.png", 1, (4, 6)), RGB[..., ::-1])
