"""Damaged files and command lines end in one sentence: no traceback, no hang, little memory."""

from pathlib import Path

import pytest
from targets import TARGETS
from watch import fuzz, inside

# Inputs by target: of every run of the tests, and of the slow one.
FEW = {
    "tables": 6,
    "folders": 6,
    "results": 25,
    "configs": 10,
    "images": 40,
    "rigs": 40,
    "checkpoints": 6,
    "command lines": 4,
}
MANY = {
    "tables": 2000, "folders": 3000, "results": 5000, "configs": 3000, "images": 5000, "rigs": 5000,
    "checkpoints": 2000, "command lines": 2000,
}  # fmt: skip


def run(target: str, examples: int, folder: Path) -> None:
    folder = folder / "in"
    folder.mkdir()
    inputs, read = TARGETS[target](folder)
    with inside(folder):
        ended = fuzz(read, inputs, examples)
    print(f"{target}: {dict(ended)}")
    assert ended["refused"] and (ended["accepted"] or examples < 100)


@pytest.mark.parametrize("target", TARGETS)
def test_a_few_damaged_inputs_end_in_one_sentence(target, tmp_path):
    run(target, FEW[target], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_thousands_of_damaged_inputs_end_in_one_sentence(target, tmp_path):
    run(target, MANY[target], tmp_path)
