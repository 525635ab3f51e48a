"""Text of others never becomes a path outside of its folder."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bev.paths import check_inside, file_name, inside, is_below

TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from("./\\\0~-"), max_size=300)
ABSOLUTE = ["/..", "//..", "//a", "///a/.."]  # two slashes are a root of their own in POSIX
PARTS = st.lists(st.sampled_from(["..", ".", "", "a", "b.jpg", "..."]), min_size=1).map("/".join)


@given(text=TEXT)
def test_a_file_name_has_no_separator_is_not_hidden_and_short(text):
    name = file_name(text)
    assert name and not set(name) & set("/\\\0") and not name.startswith((".", "-"))
    assert len(os.fsencode(name)) <= 120
    assert file_name(name) == name


@given(one=TEXT, other=TEXT)
def test_different_texts_have_different_file_names(one, other):
    assert (file_name(one) == file_name(other)) == (one == other)


@pytest.mark.parametrize("token", ["3e8750f331d7499e9b5123e9eb70f2e2", "scene-0061", "a_b.1"])
def test_a_plain_name_is_kept(token):
    assert file_name(token) == token


@pytest.mark.parametrize(
    "text",
    [
        "../../x",
        "/etc/passwd",
        "..",
        ".hidden",
        "",
        "a" * 400,
        "\ud800",
        "@",
        "+1",
        "\U00020000" * 50,
    ],
)
def test_other_text_gets_a_hash(text):
    name = file_name(text)
    assert name != text and name[-12:].isalnum()
    assert file_name(name) == name and len(os.fsencode(name)) <= 120


@pytest.mark.parametrize("name", ABSOLUTE)
def test_an_absolute_path_is_refused(name):
    with pytest.raises(ValueError, match="leads outside"):
        check_inside(name)


@given(name=PARTS)
def test_a_relative_path_that_stays_inside_is_accepted_and_no_other(name):
    """Compared with the system's own normalisation, part by part."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    steps = [-1 if part == ".." else 1 for part in parts]
    stays = all(sum(steps[: n + 1]) >= 0 for n in range(len(steps)))
    if stays and name and not name.startswith("/"):
        assert inside(Path("/root"), name) == Path("/root") / name
        normal = os.path.normpath(f"/root/{name}")
        assert normal == "/root" or normal.startswith("/root/")
    else:
        with pytest.raises(ValueError):
            check_inside(name)


def test_a_null_character_is_refused():
    with pytest.raises(ValueError, match="null character"):
        check_inside("a\0b")


@pytest.mark.parametrize(
    ("path", "below"),
    [
        ("data/samples/a.jpg", True),
        ("data/samples/../a.jpg", True),
        ("data/../a.jpg", False),
        ("data/samples/../../a.jpg", False),
        ("database/a.jpg", False),
        ("/elsewhere/a.jpg", False),
    ],
)
def test_a_path_below_a_folder_is_one_by_its_name(path, below):
    assert is_below(Path(path), Path("data")) == below
    assert is_below(Path(path).absolute(), Path("data")) == below


def test_a_folder_may_be_reached_by_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "data"
    link.symlink_to(tmp_path / "disk")
    assert is_below(link / "a.jpg", link) and is_below((link / "a.jpg").resolve(), link)
