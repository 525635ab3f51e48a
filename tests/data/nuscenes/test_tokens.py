"""Tokens of any table may be whole numbers; null is read where a reference is optional."""

import json
from pathlib import Path

import pytest
import torch
from own_data import CAMERAS, VERSION, write_own_data

from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index import Index
from bev.data.nuscenes.index_build import join
from bev.data.nuscenes.tables import TABLES, read_table
from bev.errors import DataError

REFERENCES = [
    (table, name, column)
    for table, columns in TABLES.items()
    for name, column in columns.items()
    if column.target and not column.field
]


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> dict[str, list[dict]]:
    """Rows of a valid data set, by table."""
    folder = write_own_data(tmp_path_factory.mktemp("tokens") / "root") / VERSION
    return {table: json.loads((folder / f"{table}.json").read_text()) for table in TABLES}


def frames_of(rows: dict[str, list[dict]], root: Path) -> list:
    """Key frames of the validation scene."""
    folder = root / VERSION
    folder.mkdir(exist_ok=True)
    (folder / "splits.json").write_text('{"all": ["scene-a", "scene-b"]}')
    for name, content in rows.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    tables = {table: read_table(folder, table)[0] for table in TABLES}
    join(folder, tables)
    return read_frames(Index.in_memory(tables, folder), "all", cameras=tuple(CAMERAS))


def content_of(frames) -> list:
    """What a key frame holds besides its own token."""
    return [
        (frame.timestamp, [(c.name, c.path.name) for c in frame.cameras], frame.boxes.center,
         frame.boxes.velocity, frame.boxes.label, frame.boxes.attribute)
        for frame in frames
    ]  # fmt: skip


def numbered(rows: dict[str, list[dict]], table: str) -> dict[str, list[dict]]:
    """The tables with whole numbers for the tokens of one table, and where others name them."""
    number = {row["token"]: 1000 + i for i, row in enumerate(rows[table])}
    named = {(one, name) for one, name, column in REFERENCES if column.target == table}

    def changed(one: str, name: str, value):
        if (one, name) in named or (one == table and name == "token"):
            return number.get(value, value)
        if name == "attribute_tokens" and table == "attribute":
            return [number[token] for token in value]
        return value

    return {
        one: [{name: changed(one, name, value) for name, value in row.items()} for row in content]
        for one, content in rows.items()
    }


@pytest.mark.parametrize("table", TABLES)
def test_numbers_as_tokens_give_the_same_frames(rows, tmp_path, table):
    changed = numbered(rows, table)
    assert changed[table] != rows[table]
    before, after = content_of(frames_of(rows, tmp_path)), content_of(frames_of(changed, tmp_path))
    assert len(before) == len(after) == 4
    for one, other in zip(before, after, strict=True):
        assert one[:2] == other[:2]
        assert all(torch.equal(a, b) for a, b in zip(one[2:], other[2:], strict=True))


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("value", [None, 1.5, True, ["a"], {}])
def test_a_token_that_is_no_text_and_no_number_is_refused(rows, tmp_path, table, value):
    changed = {**rows, table: [{**rows[table][0], "token": value}, *rows[table][1:]]}
    with pytest.raises(DataError, match=rf"Table .*{table}\.json, row .*: token is"):
        frames_of(changed, tmp_path)


@pytest.mark.parametrize(
    ("table", "name", "needed"),
    [(table, name, column.needed) for table, name, column in REFERENCES],
)
def test_null_is_read_for_a_missing_neighbour_and_refused_elsewhere(
    rows, tmp_path, table, name, needed
):
    changed = {**rows, table: [{**row, name: None} for row in rows[table]]}
    if needed == "all":
        with pytest.raises(DataError, match=rf"Table .*{table}\.json, row .*: {name} is None"):
            frames_of(changed, tmp_path)
    else:
        assert len(frames_of(changed, tmp_path)) == 4
