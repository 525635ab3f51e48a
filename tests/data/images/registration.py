"""Reference warps of an image, and the difference of two images in decibels and in pixels."""

import cv2
import numpy as np
import torch
from PIL import Image
from torch.nn import functional

FINE, MARGIN = 4, 2  # samples per pixel and axis; pixels


def antialiased(image, image_from_original, size):
    """An (h, w, 3) image warped to ``size`` (H, W) with a triangle filter of output pixels.

    It does what torchvision's ``resize(antialias=True)`` and PIL's BILINEAR do, for any affine map:
    a warp to pixels four times as fine, which loses little detail, then PIL's filter.
    """
    height, width = size[0] + 2 * MARGIN, size[1] + 2 * MARGIN
    finer = np.array([[FINE, 0, FINE * MARGIN], [0, FINE, FINE * MARGIN], [0, 0, 1.0]])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = np.linalg.inv(half) @ finer @ image_from_original.numpy() @ half
    fine = cv2.warpAffine(image, matrix[:2], (width * FINE, height * FINE), flags=cv2.INTER_CUBIC)
    small = Image.fromarray(fine).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(small)[MARGIN:-MARGIN, MARGIN:-MARGIN]


def sampled(image, image_from_original, size):
    """An (h, w, 3) image warped to ``size`` (H, W) by torch's bilinear sampler in float64."""
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    pixels = np.stack([columns, rows, np.ones(size)], axis=-1)
    x, y = (pixels @ np.linalg.inv(image_from_original.numpy()).T)[..., :2].transpose(2, 0, 1)
    grid = np.stack([2 * x / image.shape[1] - 1, 2 * y / image.shape[0] - 1], axis=-1)
    planes = torch.from_numpy(image.astype(float)).permute(2, 0, 1)
    found = functional.grid_sample(planes[None], torch.from_numpy(grid)[None], align_corners=False)
    return found[0].permute(1, 2, 0).numpy()


def psnr(image, other):
    """Peak signal-to-noise ratio, dB."""
    return 10 * np.log10(255**2 / ((image.astype(float) - other) ** 2).mean())


def shift(image, other, blur=2.0):
    """Offset (x, y) between two images in pixels, by least squares over their gradients.

    Both images are blurred first, so that a difference in sharpness is not taken for an offset.
    """
    image, other = (
        cv2.GaussianBlur(i.astype(float).mean(axis=2), (0, 0), blur)[8:-8, 8:-8]
        for i in (image, other)
    )
    gy, gx = np.gradient((image + other) / 2)
    gradients = np.stack([gx.ravel(), gy.ravel()], axis=1)
    return np.linalg.lstsq(gradients, (other - image).ravel(), rcond=None)[0]


def scenery(size, seed=0):
    """An (h, w, 3) image with detail of every size, like a photograph, and hard edges."""
    rng, (height, width) = np.random.default_rng(seed), size
    image = np.zeros((height, width, 3))
    for step in (2, 4, 8, 16, 32, 64):
        coarse = rng.normal(0, step**0.75, (height // step + 2, width // step + 2, 3))
        image += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    image = np.clip(128 + 2.5 * image, 0, 255).astype(np.uint8)
    for _ in range(40):
        x, y, w, h = rng.uniform((0, 0, 5, 5), (width, height, width / 8, height / 5)).astype(int)
        cv2.rectangle(image, (x, y), (x + w, y + h), rng.integers(0, 255, 3).tolist(), -1)
    return image
