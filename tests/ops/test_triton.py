"""The Triton kernels without a GPU: interpreted against a loop, and compiled ahead of time."""

import json
from pathlib import Path

import pytest
import torch
from isolated import run, run_cases

from bev.ops import cuda

pytest.importorskip("triton", reason="Triton comes with torch on Linux only")
HERE = Path(__file__).parent
CASES = "14 passed"


def test_interpreted_kernels_agree_with_a_float64_loop():
    out = run_cases(HERE / "triton_cases.py", TRITON_INTERPRET="1")
    assert CASES in out and "skipped" not in out


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_kernels_on_the_gpu_agree_with_a_float64_loop():
    out = run_cases(HERE / "triton_cases.py", TRITON_INTERPRET="0")
    assert CASES in out and "skipped" not in out


def test_compiled_kernels_spill_nothing():
    results = json.loads(run([HERE / "triton_resources.py"], TRITON_INTERPRET="0"))
    assert len(results) == 2 * 4 * 2 * 2
    for result in results:
        assert result["local"] == 0 and result["stack"] == 0, result
        assert result["reg"] <= 128, result  # four programs of 128 threads and more at a time
        assert result["shared"] <= 8 * 1024, result
        if result["channels"] % 16 == 0:
            assert result["vector"] >= 2, result  # bytes of neighbouring channels come together


def test_a_tensor_on_the_cpu_gets_the_stock_operators():
    assert cuda.triton_kernels(torch.zeros(1), []) is None


def test_kernels_that_fail_are_left_with_a_warning(monkeypatch):
    def broken(kernels, device, dtype):
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(cuda, "compare", broken)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Some GPU")
    monkeypatch.setattr(torch.cuda, "device", lambda index: torch.device("cpu"))
    cuda._checked.cache_clear()
    with pytest.warns(UserWarning, match="Some GPU.*no such instruction.*report"):
        assert cuda._checked(0, torch.float32) is None
    cuda._checked.cache_clear()
