"""Compile the Triton kernels for GPUs that need not be present; print their resources as JSON.

Run by ``test_triton.py`` in its own process: one with Triton's interpreter cannot compile.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from bev.ops import triton_pool

CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
INDEX, STRIDE = "*i32", "i32"


def sources(channels: int, half: str):
    a, b, points = triton_pool.tile(channels)
    value = f"*{half}"
    forward = {
        "depth": "*fp32", "context": value, "out": value, "point_by_cell": INDEX,
        "pixel_by_cell": INDEX, "cell_start": INDEX, "channels": "i32",
        "context_stride": STRIDE, "out_stride": STRIDE,
    }  # fmt: skip
    yield "forward", triton_pool.forward_kernel, forward, {
        "A": a, "B": b, "P": points, "TALL": triton_pool.TALL,
    }  # fmt: skip
    backward = {
        "grad": value, "depth": "*fp32", "context": value, "depth_grad": "*fp32",
        "context_grad": value, "point_by_pixel": INDEX, "cell_by_pixel": INDEX,
        "pixel_start": INDEX, "channels": "i32", "grad_stride": STRIDE,
        "context_stride": STRIDE, "context_grad_stride": STRIDE,
    }  # fmt: skip
    yield "backward", triton_pool.backward_kernel, backward, {
        "A": a, "B": b, "P": points, "NEEDS_DEPTH": True, "NEEDS_CONTEXT": True,
    }  # fmt: skip


def main() -> None:
    results = []
    for architecture in (80, 90):
        for channels in (3, 64, 80, 256):
            for half in ("fp32", "bf16"):
                for name, kernel, signature, constants in sources(channels, half):
                    everything = signature | dict.fromkeys(constants, "constexpr")
                    # As at run time: tensors are aligned to 16 bytes, and their strides are
                    # divisible by 16 where the channels are.
                    names = list(everything)
                    aligned = [n for n in names if everything[n].startswith("*")]
                    if channels % 16 == 0:
                        aligned += ["channels", *(n for n in names if n.endswith("_stride"))]
                    attributes = {(names.index(n),): [["tt.divisibility", 16]] for n in aligned}
                    places = {(names.index(n),): value for n, value in constants.items()}
                    compiled = triton.compile(
                        ASTSource(kernel, everything, places, attributes),
                        target=GPUTarget("cuda", architecture, 32),
                        options={"num_warps": triton_pool.WARPS},
                    )
                    usage = resources(compiled.asm["cubin"])
                    vector = max(map(int, re.findall(r"ld\.global\S*\.v(\d)", compiled.asm["ptx"])),
                                 default=1)  # fmt: skip
                    results.append(
                        {"kernel": name, "sm": architecture, "channels": channels, "type": half,
                         "shared": compiled.metadata.shared, "vector": vector, **usage}
                    )  # fmt: skip
    json.dump(results, sys.stdout)


def resources(cubin: bytes) -> dict[str, int]:
    """Registers per thread, and bytes of stack and local memory, which includes spills."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run(
            [CUOBJDUMP, "-res-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    return {
        name.lower(): int(re.search(rf"{name}:(\d+)", text).group(1))
        for name in ("REG", "STACK", "LOCAL")
    }


if __name__ == "__main__":
    main()
