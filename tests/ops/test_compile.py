"""The operator under torch.compile, torch.export and opcheck, see ``compile_cases.py``."""

from pathlib import Path

from isolated import run_cases


def test_the_operator_is_registered_as_it_should_be():
    out = run_cases(Path(__file__).parent / "compile_cases.py")
    assert "10 passed" in out and "skipped" not in out
