"""Splits and ground truth: counts by split, and what cannot be trained on or scored."""

import json
from pathlib import Path

import pytest
from own_data import SPLITS, VERSION, write_own_data

from bev.data.checks import ground_truth as kinds
from bev.data.checks.check import CheckConfig, check_data
from bev.data.checks.findings import Findings
from bev.data.nuscenes.tables import read_table


@pytest.fixture
def root(tmp_path) -> Path:
    return write_own_data(tmp_path / "root")


def edit(root: Path, table: str, change) -> None:
    """Apply a function to the content of a table's file."""
    path = root / VERSION / f"{table}.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def rows_of(root: Path, table: str) -> list[dict]:
    return json.loads((root / VERSION / f"{table}.json").read_text())


def checked(root: Path, **config) -> tuple[list[str], Findings]:
    summary, findings = check_data(root, VERSION, CheckConfig(images=False, **config))
    return summary.splitlines()[1:], findings


def test_every_box_is_counted_once_as_used_or_by_the_rule_that_leaves_it_out(root):
    def change(rows):
        rows[0]["num_lidar_pts"] = 0
        rows[1]["size"] = [1.0, 0.0, 1.0]
        rows[2].update(num_lidar_pts=-1, num_radar_pts=4)
        return rows

    edit(root, "category", lambda rows: [*rows, {"token": "x", "name": "animal"}])
    edit(root, "instance", lambda rows: [*rows[:-1], {**rows[-1], "category_token": "x"}])
    edit(root, "sample_annotation", change)
    lines, _ = checked(root)
    few = "with fewer than 1 lidar and radar points (data.min_points)"
    assert lines == [
        f"  mine_train: 1 scene, 2 samples, 8 boxes: 6 used (car 6); 1 {few}; 1 without a size"
        " above 0 or with a number that is not finite",
        "  mine_val: 1 scene, 2 samples, 8 boxes: 6 used (car 6); 2 of categories without a class"
        " (animal 2)",
    ]
    lines, _ = checked(root, min_points=2)
    assert "8 boxes: 1 used (car 1); 6 with fewer than 2" in lines[0]


def test_a_split_without_a_usable_box_names_rules_categories_and_remedies(root):
    edit(root, "category", lambda rows: [{**rows[0], "name": "pkw"}])
    _, findings = checked(root)
    first, second = findings.by_kind[kinds.NO_USABLE_BOX]
    assert first.startswith("mine_train: of 8 boxes 8 are of categories without a class (pkw 8);")
    assert "rename categories to those of nuScenes" in first and second.startswith("mine_val: ")
    edit(root, "category", lambda rows: [{**rows[0], "name": "vehicle.car"}])
    edit(root, "sample_annotation", lambda rows: [{**row, "num_lidar_pts": -1} for row in rows])
    (first, _) = checked(root)[1].by_kind[kinds.NO_USABLE_BOX]
    assert first.endswith("; set the numbers of points to 1 where they are unknown")
    edit(root, "sample_annotation", lambda rows: [{**row, "num_lidar_pts": 0} for row in rows])
    (first, _) = checked(root)[1].by_kind[kinds.NO_USABLE_BOX]
    assert "or --data.min-points 0" in first
    assert not checked(root, min_points=0)[1].by_kind


def test_a_split_without_annotations_is_a_warning_beside_one_with_them(root):
    edit(
        root,
        "sample_annotation",
        lambda rows: [row for row in rows if row["sample_token"].startswith("scene-a")],
    )
    lines, findings = checked(root)
    assert findings.by_kind[kinds.NO_GROUND_TRUTH] == ["mine_val: 2 samples"]
    assert not findings.count(is_error=True) and lines[1].endswith("0 boxes: 0 used")


@pytest.mark.parametrize(
    ("splits", "kind", "text"),
    [
        ({"a": ["scene-a"], "b": ["scene-b", "scene-a"]}, kinds.COMMON_SCENES,
         "a and b: 1 scenes (scene-a)"),
        ({"a": ["scene-a", "scene_b", "Scene-B"]}, kinds.UNKNOWN_SCENES,
         "a: 2 of 3 scenes (scene_b, Scene-B)"),
        ({"a": ["scene-a"], "b": []}, kinds.EMPTY_SPLIT, "has no sample of the known split 'b'"),
        ({"a": ["scene-a"], "train": ["scene-b"]}, kinds.EMPTY_SPLIT, "or rename it in "),
        ({"a": "scene-a"}, kinds.SPLITS_DAMAGED, "split 'a' is not a list of scene names"),
        ({"a": [3]}, kinds.SPLITS_DAMAGED, "split 'a' is not a list of scene names"),
        ([["scene-a"]], kinds.SPLITS_DAMAGED, "is a list; the format is {split: [scene name, ...]"),
    ],
)  # fmt: skip
def test_splits_are_compared_with_the_scenes_and_with_one_another(root, splits, kind, text):
    edit(root, "splits", lambda _: splits)
    _, findings = checked(root)
    assert list(findings.by_kind) == [kind]
    assert text in findings.by_kind[kind][0]


def test_a_damaged_file_of_splits_is_reported_beside_official_splits(root):
    """Versions with official splits read the file for each of them."""
    (root / VERSION).rename(root / "v1.0-mini")
    for text in ("{", "[" * 100_000, '{"a": 3}'):
        (root / "v1.0-mini" / "splits.json").write_text(text)
        _, findings = check_data(root, "v1.0-mini", CheckConfig(images=False))
        assert list(findings.by_kind) == [kinds.SPLITS_DAMAGED]


def test_scenes_of_no_split_are_counted(root):
    edit(root, "splits", lambda _: {"mine_train": SPLITS["mine_train"]})
    lines, findings = checked(root)
    assert lines[1].startswith("  in no split: 1 scene, 2 samples, 8 boxes: 8 used")
    assert not findings.by_kind


def test_attributes_that_the_metrics_refuse_are_counted_by_name(root):
    def change(rows):
        rows[0]["attribute_tokens"] = ["moving", "odd"]
        rows[1]["attribute_tokens"] = rows[2]["attribute_tokens"] = ["odd"]
        rows[3]["attribute_tokens"] = []
        return rows

    edit(root, "attribute", lambda rows: [*rows, {"token": "odd", "name": "vehicle_state.driving"}])
    edit(root, "sample_annotation", change)
    _, findings = checked(root)
    assert findings.by_kind == {
        kinds.REFUSED: ["'vehicle_state.driving': 2 boxes", "several attributes: 1 boxes"]
    }


def test_any_number_of_attributes_is_counted_and_null_is_none(root):
    tokens = [["moving"] * 256, ["moving"] * 300, None, ["moving"]]
    rows = rows_of(root, "sample_annotation")
    pairs = zip(rows, tokens, strict=False)
    edit(root, "sample_annotation",
         lambda _: [{**row, "attribute_tokens": own} for row, own in pairs])  # fmt: skip
    columns, _ = read_table(root / VERSION, "sample_annotation")
    assert columns["attribute_count"].tolist() == [255, 255, 0, 1]
    assert columns["attribute_token"].tolist() == [b"moving", b"moving", b"", b"moving"]


def test_tokens_may_be_numbers_and_missing_neighbours_null(root):
    """The tables' counts are those of the original tokens."""
    before = checked(root)[0]

    links = {row["token"]: i for i, row in enumerate(rows_of(root, "sample_annotation"))}
    edit(
        root,
        "sample_annotation",
        lambda rows: [
            {**row, "token": links[row["token"]]}
            | {name: links.get(row[name]) for name in ("prev", "next")}
            for row in rows
        ],
    )
    edit(root, "sample_data", lambda rows: [{**row, "prev": None, "next": None} for row in rows])
    after, findings = checked(root)
    assert after == before and not findings.by_kind


def test_visibility_is_a_level_or_unknown(root):
    """Tokens of any form: nuScenes' schema has a foreign key there."""
    tokens = ["", None, "1", 4, "b1cfbd5b", "v80-100", "5", "-1", "ä", {}, "2", "3", "04", "1.0"]
    rows = rows_of(root, "sample_annotation")[: len(tokens)]
    pairs = zip(rows, tokens, strict=True)
    edit(root, "sample_annotation", lambda _: [{**r, "visibility_token": t} for r, t in pairs])
    columns, _ = read_table(root / VERSION, "sample_annotation")
    known = {"1": 1, 4: 4, "2": 2, "3": 3}
    expected = [known.get(token, 0) if isinstance(token, str | int) else 0 for token in tokens]
    assert columns["visibility"].tolist() == expected
