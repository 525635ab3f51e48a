"""Which kernels a tensor gets: Triton's on a CUDA device where they proved right, else none.

The kernels are compared once a process, device and dtype with the stock operators, on a small
random case; where they differ or fail to run, the stock operators stand in, and a warning says so.
"""

import functools
import importlib.util
import warnings
from types import ModuleType

import torch
from torch import Tensor

from bev.ops import stock
from bev.ops.voxel_plan import transpose_by_sorting

_MOST_PROGRAMS = 2**31 - 1  # of one launch; more cells or pixels are left to the stock operators
HALF_OR_SINGLE = (torch.float32, torch.float16, torch.bfloat16)


def triton_kernels(context: Tensor, pattern: list[Tensor]) -> ModuleType | None:
    """``bev.ops.triton_pool`` where it serves this context and pattern, else None."""
    if context.device.type != "cuda" or context.dtype not in HALF_OR_SINGLE:
        return None
    if max(map(len, pattern)) > _MOST_PROGRAMS:
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
        raise  # says nothing of the kernels
    except Exception as error:  # whatever a compiler or driver may raise: training can go on
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
    """What differs between ``kernels`` and the stock operators on a random case; None if nothing.

    The case has empty cells, a crowded one, pixels of several tiles' points, and channels that are
    no power of two.
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
        # One rounding of the result, and what the order of a sum may change.
        bound = torch.finfo(dtype).eps * expected.abs() + 1e-3
        error = (found.float() - expected).abs()
        if not (error <= bound).all():
            return f"{name} in {dtype} differ by {float(error.max()):.3g}"
    return None
