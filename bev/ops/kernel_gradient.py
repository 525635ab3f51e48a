"""3x3 convolution whose gradient of the kernel is nine matrix products, for CPUs.

oneDNN's gradient of the kernel of channels-last tensors reaches a fraction of the rate of a matrix
product on CPUs with AVX2. For each of the nine places in the kernel, the gradient is the product of
the output's gradient and the input shifted to that place. With a border of zeros around both, the
shifted input is a contiguous part of the tensor's rows, so nothing is copied but the border.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def conv3x3(
    x: Float[Tensor, "B C H W"],
    weight: Float[Tensor, "O C 3 3"],
    bias: Float[Tensor, " O"] | None = None,
) -> Float[Tensor, "B O H W"]:
    """``F.conv2d(x, weight, bias, padding=1)`` with the gradient of the kernel as above.

    The result is that of ``F.conv2d`` to the bit, the gradient of the kernel up to rounding.
    Differentiable once.
    """
    return _Conv3x3.apply(x, weight, bias)


def kernel_gradient(
    grad: Float[Tensor, "B O H W"], x: Float[Tensor, "B C H W"]
) -> Float[Tensor, "O C 3 3"]:
    """Gradient of the kernel of a 3x3 convolution with stride 1 and a padding of 1.

    Args:
        grad: gradient of the output.
        x: input.
    """
    rows, pixels = (_bordered(tensor) for tensor in (grad, x))
    line = x.shape[3] + 2
    first = line + 1  # the first pixel that is no border
    inner = rows[first : len(rows) - first].t()
    products = grad.new_empty(3, 3, grad.shape[1], x.shape[1])
    for row in range(3):
        for column in range(3):
            shift = row * line + column
            torch.mm(inner, pixels[shift : shift + inner.shape[1]], out=products[row, column])
    return products.permute(2, 3, 0, 1)


def _bordered(tensor: Float[Tensor, "B C H W"]) -> Float[Tensor, "N C"]:
    """Pixels of channels-last images with a border of zeros, N = B (H + 2) (W + 2)."""
    return F.pad(tensor.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).flatten(0, 2)


class _Conv3x3(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        one = [1, 1]
        of_x = None
        if wanted[0]:
            of_x = torch.ops.aten.convolution_backward(
                grad, x, weight, None, one, one, one, False, [0, 0], 1, [True, False, False]
            )[0]
        of_weight = kernel_gradient(grad, x) if wanted[1] else None
        return of_x, of_weight, grad.sum((0, 2, 3)) if wanted[2] else None
