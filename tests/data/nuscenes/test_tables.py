"""Rows read one by one equal those of a JSON parser, whatever the formatting of the file."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bev.data.nuscenes import tables
from bev.data.nuscenes.tables import read_table
from bev.errors import DataError

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "token": st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
            "channel": st.sampled_from(["CAM", "}, {", '"', "[\\", "ä\n", ""]),
            "modality": st.just("camera"),
            "more": st.recursive(
                st.none() | st.integers() | st.text(st.characters(codec="utf-8")),
                lambda inner: st.lists(inner) | st.dictionaries(st.just("token"), inner),
            ),
        }
    ),
    max_size=12,
)


@given(rows=ROWS, indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans())
def test_rows_equal_those_of_the_json_parser(tmp_path_factory, rows, indent, ascii_only):
    """Read in chunks of five; braces inside strings and nested objects are not rows."""
    folder = tmp_path_factory.mktemp("tables")
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only)
    (folder / "sensor.json").write_text(text, encoding="utf-8")
    progress = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_CHUNK", 5)
        columns, digest = read_table(folder, "sensor", progress.append)
    for name in ("token", "channel", "modality"):
        assert [entry.decode() for entry in columns[name]] == [row[name] for row in rows]
    assert digest == hashlib.sha256(text.encode()).hexdigest()
    assert len(progress) == -(-len(rows) // 5) and sum(progress) <= len(text)


def test_numbers_are_exact(tmp_path):
    """Numbers are exact to the last bit of a float64, and so are whole numbers."""
    rng = np.random.default_rng(0)
    poses = [
        {
            "token": str(i),
            "translation": (rng.normal(size=3) * 10.0**i).tolist(),
            "rotation": [1, 0, 0, -0.0],
        }
        for i in range(-20, 20)
    ]
    (tmp_path / "ego_pose.json").write_text(json.dumps(poses))
    columns, _ = read_table(tmp_path, "ego_pose")
    assert columns["translation"].tolist() == [pose["translation"] for pose in poses]
    assert columns["rotation"].dtype == np.float64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{}]", r"row without token: token is 'missing'"),
        ('[{"token": "a", "channel": 3, "modality": ""}]', "row a: channel is 3"),
        ('[{"token": "a", "channel": "c", "modality": ""}', "damaged or truncated at character 47"),
        ('[{"token": "a", "channel": "c", "mod', "damaged or truncated at character 1 of"),
        ('{"token": "a"}', "not a list of rows"),
        ("", "is empty"),
        (b"[\xff]", "is damaged"),
    ],
)
def test_damage_is_named(tmp_path, text, message):
    path = tmp_path / "sensor.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=f"Table {path}.*{message}"):
        read_table(tmp_path, "sensor")


def test_the_first_of_many_faulty_rows_is_named(tmp_path):
    rows = [{"token": str(i), "channel": "c", "modality": "m"} for i in range(1000)]
    for i in (700, 900):
        rows[i]["channel"] = None
    (tmp_path / "sensor.json").write_text(json.dumps(rows))
    with pytest.raises(DataError, match=r"row 700: channel is None"):
        read_table(tmp_path, "sensor")


def test_faults_can_be_collected(tmp_path):
    """Every faulty row is reported and left out, and so is everything after a truncation."""
    rows = [{"token": str(i), "channel": "c", "modality": "m"} for i in range(1000)]
    for i in (0, 700, 701, 900):
        rows[i]["channel"] = None
    (tmp_path / "sensor.json").write_text(json.dumps(rows)[:-30])
    faults = []
    columns, _ = read_table(tmp_path, "sensor", on_fault=faults.append)
    reported = [fault.split(": ")[0].split(" ")[-1] for fault in faults if "row" in fault]
    assert reported == ["0", "700", "701", "900"]
    assert sum("truncated at character" in fault for fault in faults) == 1 == len(faults) - 4
    assert [int(token) for token in columns["token"]] == [
        i for i in range(999) if i not in (0, 700, 701, 900)
    ]
    (tmp_path / "sensor.json").write_text("{}")
    columns, _ = read_table(tmp_path, "sensor", on_fault=faults.append)
    assert len(columns["token"]) == 0 and "not a list of rows" in faults[-1]


@pytest.mark.parametrize(
    "value", ['"' + "x" * 100_000 + '"', "9" * 4000, "[" * 20_000 + "]" * 20_000, '"a\\u0000b"']
)
def test_a_value_of_any_kind_ends_in_a_short_message(tmp_path, value):
    """A token of 100 kB would widen the whole column, and the parser cannot follow deep lists."""
    for table, row in (
        ("sensor", f'[{{"token": {value}, "channel": "", "modality": ""}}]'),
        ("ego_pose", f'[{{"token": "a", "translation": {value}, "rotation": [1, 0, 0, 0]}}]'),
    ):
        (tmp_path / f"{table}.json").write_text(row)
        with pytest.raises(DataError) as caught:
            read_table(tmp_path, table)
        assert len(str(caught.value)) < 1000
