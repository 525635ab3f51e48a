"""docs/tour.ipynb: its stored outputs are whole and small; executed, it prints the same figures."""

import base64
import json
import math
import re

import cv2
import numpy as np
import pytest
from commands import ROOT
from required import need

TOUR = ROOT / "docs" / "tour.ipynb"
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e[-+]\d+)?")


def code_cells(notebook: dict) -> list[dict]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def printed(cell: dict) -> str:
    return "".join("".join(o.get("text", "")) for o in cell["outputs"])


def test_the_stored_outputs_are_whole_and_small():
    """All cells were executed in order, without an error or a warning; pictures can be decoded."""
    assert TOUR.stat().st_size < 250_000
    cells = code_cells(json.loads(TOUR.read_text()))
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {o.get("name", "stdout") for o in outputs} == {"stdout"}
    pictures = [o["data"]["image/jpeg"] for o in outputs if "image/jpeg" in o.get("data", {})]
    assert len(pictures) >= 10
    for data in pictures:
        decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert 400 <= decoded.shape[1] <= 1000


def differences(stored: str, fresh: str, relative: float = 0.03, absolute: float = 0.03) -> list:
    """Words and numbers in which two texts differ; numbers within the tolerance are equal."""
    words = [NUMBER.sub("0", text).split() for text in (stored, fresh)]
    numbers = [[float(n.replace(",", "")) for n in NUMBER.findall(t)] for t in (stored, fresh)]
    if words[0] != words[1]:
        return [(stored, fresh)]
    pairs = zip(*numbers, strict=True)
    return [(a, b) for a, b in pairs if not math.isclose(a, b, rel_tol=relative, abs_tol=absolute)]


def test_differences_of_two_texts():
    assert not differences("mAP 0.512, 1,203 points", "mAP 0.520, 1,210  points")
    assert differences("mAP 0.512", "mAP 0.640") == [(0.512, 0.64)]
    assert differences("car 1", "bus 1") == [("car 1", "bus 1")]


@pytest.mark.slow
def test_the_tour_runs_and_prints_its_stored_figures(tmp_path, monkeypatch):
    need("nbclient")
    need("ipykernel")
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(TOUR, 4)
    stored = [printed(cell) for cell in code_cells(notebook)]
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    fresh = [printed(cell) for cell in code_cells(notebook)]
    assert not [d for pair in zip(stored, fresh, strict=True) for d in differences(*pair)]
