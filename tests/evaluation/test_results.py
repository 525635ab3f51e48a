"""Results files of other tools: what is read, and how each fault is named."""

import json
import re

import numpy as np
import pytest

from bev.errors import SubmissionError
from bev.evaluation.nuscenes.json_members import JsonMembers
from bev.evaluation.nuscenes.results import read_results
from bev.evaluation.nuscenes.rows import check_rows

ROW = {
    "sample_token": "a",
    "translation": [1, 2.5, 3],
    "size": [1.5, 4.5, 1.7],
    "rotation": [1, 0, 0, 0],
    "velocity": [float("nan"), 0],
    "detection_name": "car",
    "detection_score": 0.5,
    "attribute_name": "",
}


def written(tmp_path, results, meta=()):
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"meta": dict(meta), "results": results}))
    return path


def test_boxes_are_read_in_the_order_of_the_file(tmp_path):
    """Integers are numbers, a velocity may be unknown, and other fields do not matter."""
    rows = [{**ROW, "sample_token": "b", "more": None}, {**ROW, "sample_token": "b"}]
    found, meta = read_results(written(tmp_path, {"b": rows, "a": [], "c": 3}, {"k": 1}), "ab")
    assert found.tokens == ("b", "a") and meta == {"k": 1}
    assert found.sample.tolist() == [0, 0] and found.points.tolist() == [-1, -1]
    assert found.translation.tolist() == 2 * [[1, 2.5, 3]]
    assert np.isnan(found.velocity[:, 0]).all()


def test_boxes_below_a_score_are_left_out_and_their_samples_remain(tmp_path):
    rows = {"a": [{**ROW, "detection_score": s} for s in (0.2, 0.3, 0.1)], "b": [
        {**ROW, "sample_token": "b", "detection_score": 0.29}]}  # fmt: skip
    path = written(tmp_path, rows)
    found, _ = read_results(path, min_score=0.2)
    assert found.tokens == ("a", "b")
    assert found.score.tolist() == [0.2, 0.3, 0.29] and found.sample.tolist() == [0, 0, 1]
    none, _ = read_results(path, min_score=0.9)
    assert none.tokens == ("a", "b") and len(none) == 0


CHANGES = [
    {"size": [0.0, 4.0, 1.5]}, {"size": None}, {"size": [1, 2]}, {"size": "abc"},
    {"translation": [1, 2, "3"]}, {"translation": [1, 2, True]}, {"translation": [1, [2], 3]},
    {"translation": [1, 2, float("inf")]}, {"translation": [1, 2, float("nan")]},
    {"rotation": {"w": 1}}, {"rotation": [0, 0, 0, 0]}, {"velocity": [None, None]},
    {"velocity": [0, float("inf")]}, {"velocity": 3}, {"detection_name": "tram"},
    {"detection_name": ["car"]}, {"attribute_name": None}, {"attribute_name": "moving"},
    {"detection_score": "0.5"}, {"detection_score": float("nan")}, {"detection_score": 10**400},
    {"detection_score": False}, {"sample_token": "b"}, {"num_pts": "many"}, {"num_pts": 2.5},
    {"num_pts": 2**70},
]  # fmt: skip


@pytest.mark.parametrize(
    "rows",
    [
        *([ROW, {**ROW, **change}] for change in CHANGES),
        *([{name: value for name, value in ROW.items() if name != field}] for field in ROW),
        None, 7, "boxes", {"0": ROW}, [ROW, None], [[ROW]], ["box"],
    ],
)  # fmt: skip
def test_what_the_check_of_rows_refuses_is_refused_in_its_words(tmp_path, rows):
    path = written(tmp_path, {"a": rows})
    with pytest.raises(SubmissionError) as checked:
        check_rows(path, "a", rows)
    with pytest.raises(SubmissionError, match=f"^{re.escape(str(checked.value))}$"):
        read_results(path)


def test_at_most_500_boxes_a_sample(tmp_path):
    assert len(read_results(written(tmp_path, {"a": [ROW] * 500}))[0]) == 500
    with pytest.raises(SubmissionError, match="sample a has 501 boxes; 500 are allowed"):
        read_results(written(tmp_path, {"a": [ROW] * 501}))


@pytest.mark.parametrize(
    "text",
    ['{"meta": {}, "results": {"a": [', '{"meta": {}} {}', "{'meta': 1}", '{"meta" 1}', "",
     '{"meta": {}, "results": {1: []}}', '{"a": ' + 100_000 * "[", '{"meta": {}, "results": {},}'],
)  # fmt: skip
def test_text_that_is_not_json_is_refused_with_the_place(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(SubmissionError, match=rf"{path} is not JSON \(.*\)"):
        read_results(path)
    path.write_bytes(b'{"meta": "\xff"}')
    with pytest.raises(SubmissionError, match="is not JSON"):
        read_results(path)


@pytest.mark.parametrize("chunk", [1, 2, 7, 10**6])
def test_members_are_those_of_json_whatever_the_chunks(tmp_path, monkeypatch, chunk):
    """Numbers, strings with escapes and white space may be cut anywhere."""
    monkeypatch.setattr("bev.evaluation.nuscenes.json_members._CHUNK", chunk)
    content = {"a": [1.25e-3, -17, True, None], 'b"\\ü': {"c": {}, "d": "\u2028 x", "e": 1.5e-30}}
    for indent in (None, 3):
        text = json.dumps(content, indent=indent) + " \n"
        (tmp_path / "file.json").write_text(text)
        with (tmp_path / "file.json").open() as file:
            reader = JsonMembers(file)
            assert {key: reader.value() for key in reader.members()} == content
            assert reader.next() == ""
        found = {}
        with (tmp_path / "file.json").open() as file:
            reader = JsonMembers(file)
            for key in reader.members():
                nested = reader.next() == "{"
                found[key] = (
                    {inner: reader.value() for inner in reader.members()}
                    if nested
                    else reader.value()
                )
        assert found == content
