"""Training with torch.compile, by ``compile_cases.py``."""

from pathlib import Path

import pytest
from isolated import run_cases

CASES = Path(__file__).parent / "compile_cases.py"


@pytest.mark.slow
def test_a_compiled_step_equals_a_plain_one():
    assert "1 passed" in run_cases(CASES)


@pytest.mark.slow
def test_a_compiled_run_equals_a_plain_one():
    assert "1 passed" in run_cases(CASES, "-m", "slow")
