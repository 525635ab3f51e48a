"""3x3 convolutions by Winograd's algorithm, in stock PyTorch operators, for CPUs.

F(4x4, 3x3) of Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2016), section
4.3: each 4x4 tile of the output takes 36 multiplications per pair of channels instead of 144. The
multiplications are 36 matrix products (tiles x input channels x output channels), so the gain is
large where both numbers of channels are: the transforms cost as much for few channels as for many.
Tiles are processed in blocks that stay in the cache.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

_TILE = 4  # rows and columns of the output of a tile
_SIDE = 6  # rows and columns of its input
_BLOCK = 1 << 22  # elements of the transformed inputs and products of a block, 16 MB

# The published matrices of F(4, 3): B^T (input), G (kernel) and A^T (output).
_INPUT = (
    (4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1),
)  # fmt: skip
_KERNEL = (
    (1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1),
)  # fmt: skip
_OUTPUT = (
    (1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1),
)  # fmt: skip


@lru_cache
def _both_axes(kind: str) -> Tensor:
    """Transform of "input" (36, 36) or "output" (16, 36) along rows and columns, float32."""
    matrix = torch.tensor(_INPUT if kind == "input" else _OUTPUT, dtype=torch.float32)
    return torch.kron(matrix, matrix)


def transformed_kernel(weight: Float[Tensor, "O C 3 3"]) -> Float[Tensor, "36 C O"]:
    """Kernel of a 3x3 convolution for :func:`winograd_conv`."""
    matrix = torch.tensor(_KERNEL, dtype=weight.dtype)
    columns = torch.tensordot(weight.detach(), matrix, ([3], [1]))  # O C i b
    kernel = torch.tensordot(columns, matrix, ([2], [1]))  # O C b a
    return kernel.permute(3, 2, 1, 0).flatten(0, 1).contiguous()


def tiles_of(shape: torch.Size) -> int:
    """Number of tiles of an input (B, C, H, W)."""
    return shape[0] * -(-shape[2] // _TILE) * -(-shape[3] // _TILE)


def winograd_conv(
    x: Float[Tensor, "B C H W"],
    weight: Float[Tensor, "O C 3 3"],
    bias: Float[Tensor, " O"] | None = None,
    kernel: Float[Tensor, "36 C O"] | None = None,
) -> Float[Tensor, "B O H W"]:
    """3x3 convolution with stride 1 and a padding of 1, float32 on the CPU.

    Rounding errors are about three times those of the direct sum. The result is channels-last in
    memory, as fast inputs are. Not differentiable.

    Args:
        x: input.
        weight: weight as of ``torch.nn.functional.conv2d``.
        bias: bias.
        kernel: ``transformed_kernel(weight)``, if it is known.
    """
    return _conv(x, weight, bias, transformed_kernel(weight) if kernel is None else kernel)


@torch.library.custom_op("bev::winograd_conv", mutates_args=())
def _conv(x: Tensor, weight: Tensor, bias: Tensor | None, kernel: Tensor) -> Tensor:
    batch, inputs, height, width = x.shape
    outputs = kernel.shape[2]
    rows, columns = -(-height // _TILE), -(-width // _TILE)
    right, below = _TILE * columns + 1 - width, _TILE * rows + 1 - height
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, right, 1, below)).contiguous()
    b, r, c, _ = padded.stride()
    patches = padded.as_strided(
        (_SIDE, _SIDE, batch, rows, columns, inputs), (r, c, b, _TILE * r, _TILE * c, 1)
    )
    out = x.new_empty(batch, _TILE * rows, _TILE * columns, outputs)
    # (4, 4, B, rows, columns, O) view of the output, in the order of the transformed products
    target = out.view(batch, rows, _TILE, columns, _TILE, outputs).permute(2, 4, 0, 1, 3, 5)
    for part in _blocks(batch, rows, columns, inputs + outputs):
        given = patches[:, :, part.samples, part.rows].reshape(_SIDE**2, -1)
        values = (_both_axes("input") @ given).view(_SIDE**2, -1, inputs)
        products = torch.bmm(values, kernel).view(_SIDE**2, -1)
        place = target[:, :, part.samples, part.rows]
        result = (_both_axes("output") @ products).view(place.shape)
        if bias is None:
            place.copy_(result)
        else:
            torch.add(result, bias, out=place)
    return out[:, :height, :width].contiguous().permute(0, 3, 1, 2)


@_conv.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None, kernel: Tensor) -> Tensor:
    batch, _, height, width = x.shape
    return x.new_empty(batch, height, width, kernel.shape[2]).permute(0, 3, 1, 2)


class _Block(NamedTuple):
    samples: slice
    rows: slice


def _blocks(batch: int, rows: int, columns: int, channels: int) -> Iterator[_Block]:
    """Blocks of tiles: rows of tiles of one sample, or all tiles of several samples."""
    of_row = _SIDE**2 * columns * channels
    step = min(max(_BLOCK // of_row, 1), rows)
    samples = max(_BLOCK // (of_row * rows), 1)
    for sample in range(0, batch, samples):
        for row in range(0, rows, step):
            yield _Block(slice(sample, sample + samples), slice(row, row + step))
