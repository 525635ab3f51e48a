"""Selection of the Triton kernels, which are used on CUDA devices where they work correctly.

The kernels are compared with the stock operators on a small random case, once per process, device
and dtype. If they differ or fail to run, the stock operators are used, with a warning.
"""

import functools
import importlib.util
import warnings
from types import ModuleType

import torch
from torch import Tensor

from bev.ops import stock
from bev.ops.voxel_plan import transpose_by_sorting

_MAX_PROGRAMS = 2**31 - 1  # per launch; the stock operators handle more cells or pixels
HALF_OR_SINGLE = (torch.float32, torch.float16, torch.bfloat16)


def triton_kernels(context: Tensor, pattern: list[Tensor]) -> ModuleType | None:
    """Return ``bev.ops.triton_pool`` if it supports this context and pattern, else None."""
    if context.device.type != "cuda" or context.dtype not in HALF_OR_SINGLE:
        return None
    if max(map(len, pattern)) > _MAX_PROGRAMS:
        return None
    return _checked(context.device.index, context.dtype)


@functools.cache
def _checked(device: int, dtype: torch.dtype) -> ModuleType | None:
    if torch.version.cuda is None or importlib.util.find_spec("triton") is None:
        return None
    if torch.cuda.is_current_stream_capturing():
        raise RuntimeError(
            "voxel_pool compares its kernels with stock operators at its first use, which a CUDA"
            " graph cannot record: call it once, with this dtype, before the capture."
        )
    try:
        from bev.ops import triton_pool

        with torch.cuda.device(device):
            fault = compare(triton_pool, torch.device("cuda", device), dtype)
    except torch.OutOfMemoryError:
        raise  # not a fault of the kernels
    except Exception as error:  # compilers and drivers raise anything; training can go on
        fault = f"{type(error).__name__}: {error}"
    if fault is None:
        return triton_pool
    warnings.warn(
        f"Triton's voxel pooling does not work on {torch.cuda.get_device_name(device)} ({fault});"
        " the stock PyTorch operators are used, slower. Please report this with the versions of"
        f" torch ({torch.__version__}), triton and the driver.",
        stacklevel=2,
    )
    return None


def compare(
    kernels: ModuleType, device: torch.device | str, dtype: torch.dtype = torch.float32
) -> str | None:
    """Compare ``kernels`` with the stock operators on a random case.

    The case has empty cells, a crowded cell, pixels whose points span several tiles, and a number
    of channels that is not a power of two.

    Returns:
        A description of the difference; None if the results agree.
    """
    generator = torch.Generator().manual_seed(0)
    pixels, bins, cells, channels = 10, 70, 50, 80
    cell = torch.randint(-20, cells, (pixels * bins,), generator=generator)
    cell[:150] = 7
    cell = torch.where(cell < 0, cells, cell).int().to(device)
    pattern = list(transpose_by_sorting(cell, bins, cells))

    def normal(*shape: int) -> Tensor:
        values = torch.randn(*shape, generator=generator, dtype=torch.float32)
        return values.to(device)

    depth = normal(pixels * bins).abs()
    context, grad = normal(pixels, channels).to(dtype), normal(cells, channels).to(dtype)
    ours = (
        kernels.forward(depth, context, pattern),
        *kernels.backward(grad, depth, context, pattern, [True, True]),
    )
    theirs = (
        stock.forward(depth, context, pattern),
        *stock.backward(grad, depth, context, pattern, [True, True]),
    )
    names = ("pooled features", "depth gradient", "context gradient")
    for name, found, expected in zip(names, ours, theirs, strict=True):
        if found is None or expected is None:
            return f"{name} is missing"
        # Tolerance: one rounding of the result, and the effect of the order of summation.
        bound = torch.finfo(dtype).eps * expected.abs() + 1e-3
        error = (found.float() - expected).abs()
        if not (error <= bound).all():
            return f"{name} in {dtype} differ by {float(error.max()):.3g}"
    return None
