"""Recordings: written and read bit for bit; damaged and hostile files end in one sentence."""

import io
import json
import zipfile
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_scene import made_recording

from bev.errors import ConfigError, DataError
from bev.visualization.viewer.contents import Recording
from bev.visualization.viewer.recording import read_recording, write_recording


def plain(value):
    """A value that can be compared."""
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    return (value.tolist(), value.dtype.str) if isinstance(value, np.ndarray) else value


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("recording") / "new" / "a.bevrec"
    return write_recording(made_recording(), path).read_bytes()


def read(data: bytes, folder) -> Recording:
    path = folder / "b.bevrec"
    path.write_bytes(data)
    return read_recording(path)


def rewritten(data: bytes, name: str, change) -> bytes:
    """The file with one member changed; a member that becomes None is left out."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.namelist():
            content = change(old.read(member)) if member == name else old.read(member)
            if content is not None:
                new.writestr(member, content)
    return out.getvalue()


def edited(data: bytes, change) -> bytes:
    """The file with another recording.json."""

    def edit(old: bytes) -> bytes:
        content = json.loads(old)
        change(content)
        return json.dumps(content).encode()

    return rewritten(data, "recording.json", edit)


def test_a_recording_is_read_bit_for_bit(written, tmp_path):
    names = "<script>\u202e\ud800\x00"
    for recording in (made_recording(), made_recording(names, ("ground truth",), moments=1)):
        path = write_recording(recording, tmp_path / "a.bevrec")
        found, expected = plain(read_recording(path)), plain(recording)
        assert str(found) == str(expected)  # NaN differs from itself
    assert len(written) < 10_000


def test_the_file_that_was_there_is_kept_if_writing_fails(tmp_path, written):
    path = tmp_path / "a.bevrec"
    path.write_bytes(written)
    broken = made_recording()
    object.__setattr__(broken.moments[1], "seconds", float("nan"))  # JSON has none
    with pytest.raises(ValueError):
        write_recording(broken, path)
    assert path.read_bytes() == written and len(list(tmp_path.iterdir())) == 1


def box(**changed: float):
    """A function that replaces the first box of a table."""
    columns = "x y z length width height yaw vx vy label score track points".split()

    def change(old: bytes) -> bytes:
        rows = np.frombuffer(old, "<f8").reshape(-1, 13).copy()
        for name, value in changed.items():
            rows[0, columns.index(name)] = value
        return rows.tobytes()

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "File is not a zip file"),
        (lambda data: data[: len(data) // 2], "not a zip file"),
        (lambda data: edited(data, lambda c: c.update(format=2)), "its format is 2, not 1"),
        (lambda data: edited(data, lambda c: c.update(moments=[])), "0 moments"),
        (lambda data: edited(data, lambda c: c.update(layers=[])), "0 sets of boxes"),
        (lambda data: edited(data, lambda c: c.update(classes=None)), "None is no list"),
        (lambda data: edited(data, lambda c: c.pop("scene")), "KeyError: 'scene'"),
        (
            lambda data: edited(data, lambda c: c["classes"][0].update(color=[0, 0, 256])),
            "no colour",
        ),
        (
            lambda data: edited(data, lambda c: c["moments"][0].update(seconds="soon")),
            "a time is 'soon'",
        ),
        (
            lambda data: edited(data, lambda c: c["moments"][0]["scene_from_ego"][0].reverse()),
            "is no pose",
        ),
        (
            # Without an inverse: the vehicle would be where no point of the scene is.
            lambda data: edited(
                data,
                lambda c: c["moments"][0].update(
                    scene_from_ego=[[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]]
                ),
            ),
            "is no pose",
        ),
        (
            lambda data: edited(
                data, lambda c: c["moments"][1]["cameras"][0].update(border=[1, 0, 1, 1])
            ),
            "the border [1, 0, 1, 1] is empty",
        ),
        (lambda data: rewritten(data, "recording.json", lambda _: b"[" * 10**5), "nested too deep"),
        (lambda data: rewritten(data, "0001/boxes1.f8", lambda _: None), "lacks 0001/boxes1.f8"),
        (lambda data: rewritten(data, "0001/boxes1.f8", lambda old: old[:-8]), "no whole rows"),
        (lambda data: rewritten(data, "0000/boxes0.f8", box(x=np.nan)), "a number that cannot be"),
        (lambda data: rewritten(data, "0000/boxes0.f8", box(vx=np.inf)), "a number that cannot be"),
        (lambda data: rewritten(data, "0000/boxes0.f8", box(width=0)), "a number that cannot be"),
        (lambda data: rewritten(data, "0000/boxes0.f8", box(label=2)), "a number that cannot be"),
        (lambda data: rewritten(data, "0000/boxes0.f8", box(label=0.5)), "a number that cannot be"),
        (lambda data: rewritten(data, "0000/camera0.jpg", lambda old: old[:-9]), "no whole image"),
        (lambda data: rewritten(data, "0000/map0.png", lambda _: b"GIF89a"), "no whole image"),
        (
            lambda data: rewritten(data, "0000/lidar.i2", lambda _: bytes(2**26 + 2)),
            "0000/lidar.i2 has more than 67108864 bytes",
        ),
    ],
)
def test_what_is_wrong_is_named(damage, message, written, tmp_path):
    with pytest.raises(DataError) as caught:
        read(damage(written), tmp_path)
    text = str(caught.value)
    assert message in text and "b.bevrec" in text and "--record FILE.bevrec" in text
    assert "\n" not in text and len(text) < 700


@given(st.data())
def test_any_damage_ends_in_one_sentence_or_in_a_recording(written, tmp_path_factory, data):
    changed = bytearray(written)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read(bytes(changed), tmp_path_factory.getbasetemp())
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(found, Recording)


def test_missing_files_and_other_suffixes_are_named(tmp_path):
    with pytest.raises(DataError, match="none.bevrec cannot be used .No such file"):
        read_recording(tmp_path / "none.bevrec")
    with pytest.raises(DataError, match="Is a directory"):
        read_recording(tmp_path)
    with pytest.raises(ConfigError, match="'a.zip' must end in .bevrec"):
        write_recording(made_recording(), tmp_path.relative_to(tmp_path) / "a.zip")
