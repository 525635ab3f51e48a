"""The operator under torch.compile, torch.export and opcheck, see ``compile_cases.py``."""

from pathlib import Path

import torch
from isolated import run_cases


def test_the_operator_passes_the_compile_cases():
    out = run_cases(Path(__file__).parent / "compile_cases.py")
    passed = 20 if torch.cuda.is_available() else 11
    assert f"{passed} passed" in out and "skipped" not in out
