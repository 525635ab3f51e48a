"""The Triton kernels without a GPU: interpreted, and compiled ahead of time."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from isolated import run, run_cases
from packaging.version import Version

from bev.ops import cuda

triton = pytest.importorskip("triton", reason="Triton comes with torch on Linux only")
HERE = Path(__file__).parent
CASES, SLOW_CASES = "14 passed", "2 passed"


# Triton 3.6 and older convert arrays of one element to int, which numpy refuses since 2.5.
interpreted = pytest.mark.skipif(
    Version(triton.__version__) < Version("3.7") and Version(np.__version__) >= Version("2.5"),
    reason="this Triton's interpreter needs numpy below 2.5",
)


@pytest.mark.long
@interpreted
def test_interpreted_kernels_agree_with_a_float64_loop():
    out = run_cases(HERE / "triton_cases.py", TRITON_INTERPRET="1")
    assert CASES in out and "skipped" not in out


@interpreted
@pytest.mark.slow
def test_more_cases_of_interpreted_kernels_agree():
    environment = {"TRITON_INTERPRET": "1", "TRITON_EXAMPLES": "25"}
    cases = HERE / "triton_cases.py"
    assert "1 passed" in run_cases(cases, "-k", "with_a_loop", **environment)
    assert SLOW_CASES in run_cases(cases, "-m", "slow", **environment)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_kernels_on_the_gpu_agree_with_a_float64_loop():
    for options, passed in (([], CASES), (["-m", "slow"], SLOW_CASES)):
        out = run_cases(HERE / "triton_cases.py", *options, TRITON_INTERPRET="0")
        assert passed in out and "skipped" not in out


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", cuda.HALF_OR_SINGLE)
def test_pooling_on_the_gpu_uses_the_kernels(dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        context = torch.zeros(1, 1, device="cuda", dtype=dtype)
        assert cuda.triton_kernels(context, [context]) is not None


@pytest.mark.slow
def test_compiled_kernels_do_not_spill_registers():
    results = json.loads(run([HERE / "triton_resources.py"], TRITON_INTERPRET="0"))
    assert len(results) == 2 * 4 * 2 * 2
    for result in results:
        assert result["local"] == 0 and result["stack"] == 0, result
        assert result["reg"] <= 168, result  # twelve programs of a warp and more at a time
        assert result["shared"] <= 8 * 1024, result
        if result["channels"] % 16 == 0:
            assert result["vector"] >= 2, result  # neighbouring channels are loaded together


def test_a_tensor_on_the_cpu_gets_the_stock_operators():
    assert cuda.triton_kernels(torch.zeros(1), []) is None


@pytest.fixture
def first_use(monkeypatch):
    """The check before the first use, on a mocked GPU."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Some GPU")
    monkeypatch.setattr(torch.cuda, "device", lambda index: torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    cuda._checked.cache_clear()
    yield lambda: cuda._checked(0, torch.float32)
    cuda._checked.cache_clear()


def raising(error):
    def compare(kernels, device, dtype):
        raise error

    return compare


def test_failing_kernels_are_disabled_with_a_warning(monkeypatch, first_use):
    monkeypatch.setattr(cuda, "compare", raising(RuntimeError("no such instruction")))
    with pytest.warns(UserWarning, match="Some GPU.*no such instruction.*report"):
        assert first_use() is None


def test_kernels_are_used_if_their_results_agree(monkeypatch, first_use):
    monkeypatch.setattr(cuda, "compare", lambda kernels, device, dtype: None)
    assert first_use().__name__ == "bev.ops.triton_pool"


def test_without_triton_the_stock_operators_are_used(monkeypatch, first_use):
    monkeypatch.setattr(cuda.importlib.util, "find_spec", lambda name: None)
    assert first_use() is None


def test_errors_unrelated_to_the_kernels_do_not_disable_them(monkeypatch, first_use):
    """After too little memory, or a graph capture, which cannot contain the check, it repeats."""
    monkeypatch.setattr(cuda, "compare", raising(torch.OutOfMemoryError("no room")))
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        first_use()
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(RuntimeError, match="call it once, with this dtype, before the capture"):
        first_use()
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(cuda, "compare", lambda kernels, device, dtype: None)
    assert first_use() is not None
