"""The operator under torch.compile, torch.export and opcheck, see ``compile_cases.py``."""

from pathlib import Path

import pytest
import torch
from isolated import run_cases

CASES = Path(__file__).parent / "compile_cases.py"


@pytest.mark.long
def test_the_operator_passes_the_compile_cases():
    out = run_cases(CASES)
    passed = 10 if torch.cuda.is_available() else 5
    assert f"{passed} passed" in out and "skipped" not in out


@pytest.mark.slow
def test_the_operator_passes_the_slow_compile_cases():
    out = run_cases(CASES, "-m", "slow")
    passed = 10 if torch.cuda.is_available() else 6
    assert f"{passed} passed" in out and "skipped" not in out
