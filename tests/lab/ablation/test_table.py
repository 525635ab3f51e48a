"""The table in its three formats and the plot, for rows with known numbers."""

import csv

import cv2
import pytest

from bev.lab.ablation.plot import draw
from bev.lab.ablation.results import Difference, Row
from bev.lab.ablation.table import cells, latex, markdown, write_csv
from bev.training.record import RunRecord

HEADLINES = ("mAP", "NDS")


@pytest.fixture
def rows() -> list[Row]:
    records = [RunRecord(100, minutes, 1_500_000, 7 * 10**9, 2**31, "cpu", 1) for minutes in (1, 3)]
    figures = {"mAP": [0.1, 0.3], "NDS": [0.2, 0.2], "mATE": [1.0, 0.5]}
    gain = Difference(-0.05, -0.08, 0.01)
    single = {"mAP": [0.15], "NDS": [0.25], "mATE": [0.75]}
    fault = ("c_seed0", "error: no | data", "logs/c_seed0.txt")
    return [
        Row("lr=1e-3", 2, figures, HEADLINES, ("mAP",), {}, records, [], []),
        Row(
            "b_50%",
            2,
            single,
            HEADLINES,
            ("mAP",),
            {"mAP": gain},
            records[:1],
            [],
            ["b_50_seed1"],
        ),
        Row("c", 1, {}, HEADLINES, (), {}, [], [fault], []),
    ]


def test_table_cells(rows):
    header, lines = cells(rows)
    first, second, third = (dict(zip(header, line, strict=True)) for line in lines)
    assert first["mAP"] == "0.200 ± 0.141" and first["NDS"] == "0.200 ± 0.000"
    assert first["Δ mAP"] == "-" and first["mATE"] == "0.750 ± 0.354"
    assert first["runs"] == "2/2" and second["runs"] == "1/2" and third["runs"] == "0/1, 1 failed"
    assert second["mAP"] == "0.150" and second["Δ mAP"] == "-0.050 [-0.080, +0.010]"
    assert first["M params"] == "1.50" and first["GFLOPs"] == "7.0" and first["GiB"] == "2.00"
    assert first["minutes"] == "2.0" and first["ms/step"] == "1200"
    assert third["mAP"] == third["minutes"] == "-"
    assert "Δ NDS" not in first and "Δ mATE" not in first  # they were not resampled


def test_markdown_lists_failed_and_unfinished_runs(rows):
    text = markdown(rows, "study", "A note.")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 5 and len({line.count("|") for line in table}) == 1
    assert "- `c_seed0`: error: no | data (log: `logs/c_seed0.txt`)" in text
    assert "\nNot finished: `b_50_seed1`\n" in text
    assert text.startswith("# study\n") and text.endswith("A note.\n")


def test_latex_escapes_and_has_equal_columns(rows):
    text = latex(rows, "study")
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len({line.count(" & ") for line in body}) == 1 and len(body) == 4
    assert r"b\_50\%" in text and r"0.200 $\pm$ 0.141" in text and r"$\Delta$ mAP" in text
    assert "$-$0.050 [$-$0.080, $+$0.010]" in text and "lr=1e-3 &" in text


def test_csv_contains_the_numbers_in_full(rows, tmp_path):
    write_csv(rows, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(encoding="utf-8") as file:
        first, second, third = csv.DictReader(file)
    assert float(first["mAP std"]) == pytest.approx(0.02**0.5) and second["mAP std"] == ""
    assert [float(second[f"Δ mAP{end}"]) for end in ("", " low", " high")] == [-0.05, -0.08, 0.01]
    assert first["Δ mAP"] == "" and third["mAP"] == "" and third["finished"] == "0"


def test_the_picture_grows_with_the_rows(rows, tmp_path):
    small, large = (
        cv2.imread(str(draw(some, tmp_path / f"{len(some)}.png"))) for some in (rows, 3 * rows)
    )
    assert large.shape[0] > small.shape[0] and large.shape[1] == small.shape[1]
