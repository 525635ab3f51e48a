"""Checking the start and the end of a file finds the faults that decoding it finds."""

import io
from functools import partial
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bev.data.checks import files
from bev.data.checks.files import (
    IMAGE_CUT,
    IMAGE_MISSING,
    IMAGE_SIZE,
    IMAGE_UNREADABLE,
    LIDAR_DAMAGED,
    SensorFile,
    image_fault,
    lidar_fault,
    lidar_missing,
)


def encoded(kind: str, size: tuple[int, int], *flags: int) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    return cv2.imencode(kind, noise, flags)[1].tobytes()


@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    progressive=st.booleans(),
    restart=st.integers(0, 3),
    before=st.lists(st.integers(0, 20_000), max_size=4),
    fill=st.integers(0, 3),
)
def test_the_size_of_any_jpeg_is_read(tmp_path_factory, size, progressive, restart, before, fill):
    """Baseline and progressive files, with other segments and fill bytes before the frame header:
    so many that the header may lie beyond the part of the file that is read."""
    path = tmp_path_factory.mktemp("images") / "a.jpg"
    flags = (cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive), cv2.IMWRITE_JPEG_RST_INTERVAL, restart)
    data = encoded(".jpg", size, *flags)
    comments = b"".join(
        b"\xff" * fill + b"\xff\xfe" + (2 * n + 2).to_bytes(2, "big") + b"\xff\xc0" * n
        for n in before
    )
    path.write_bytes(data[:2] + comments + data[2:])
    assert image_fault(path.parent, SensorFile("a.jpg", "t", size), False) is None
    other = size[1] + 1, size[0]
    kind, message = image_fault(path.parent, SensorFile("a.jpg", "t", other), False)
    assert kind is IMAGE_SIZE
    assert message == (f"a.jpg (t): {size[1]}x{size[0]}, declared {other[1]}x{other[0]}")


def by_pillow(kind: str, size: tuple[int, int], **options) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    Image.fromarray(noise).save(buffer, kind, **options)
    return buffer.getvalue()


# The directory of a TIFF, which has the size, stands before the pixels or behind them.
OTHERS = {
    "png": partial(encoded, ".png"),
    "webp": partial(by_pillow, "WEBP"),
    "tiff": partial(by_pillow, "TIFF"),
    "tiff_lzw": partial(by_pillow, "TIFF", compression="tiff_lzw"),
    "tiff_opencv": partial(encoded, ".tiff"),
}


@pytest.mark.parametrize("size", [(20, 30), (300, 400)])
@pytest.mark.parametrize("write", OTHERS.values(), ids=OTHERS)
def test_images_of_other_formats_are_decoded_only_on_demand(tmp_path, write, size, monkeypatch):
    (tmp_path / "a").write_bytes(write(size))
    decoded = Mock(wraps=files.decode)
    monkeypatch.setattr(files, "decode", decoded)
    for whole in (False, True):
        assert image_fault(tmp_path, SensorFile("a", "t", size), whole) is None
        assert image_fault(tmp_path, SensorFile("a", "t", size[::-1]), whole)[0] is IMAGE_SIZE
        assert decoded.call_count == whole


@pytest.mark.parametrize("size", [(20, 30), (300, 400)])
@pytest.mark.parametrize("write", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("keep", [0.02, 0.3, 0.9, 0.98])
def test_truncated_images_of_other_formats_are_named_so(tmp_path, write, size, keep):
    data = write(size)
    (tmp_path / "a").write_bytes(data[: int(len(data) * keep)])
    for whole in (False, True):
        kind, message = image_fault(tmp_path, SensorFile("a", "t", size), whole)
        assert kind is IMAGE_CUT and message.endswith("bytes, without the end of the image")


@given(keep=st.floats(0.001, 0.98))
def test_a_jpeg_cut_anywhere_is_found(tmp_path_factory, keep):
    data = encoded(".jpg", (60, 80))
    path = tmp_path_factory.mktemp("images") / "a.jpg"
    path.write_bytes(data[: max(int(len(data) * keep), 2)])
    assert image_fault(path.parent, SensorFile("a.jpg", "t", (60, 80)), False)[0] is IMAGE_CUT


def test_a_header_without_an_image_is_found_by_decoding(tmp_path):
    """The start and the end of the file do not show this fault."""
    data = encoded(".jpg", (60, 80))
    scan = data.index(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(data[:2] + b"\xff\xc0" + data[-2:])
    assert image_fault(tmp_path, SensorFile("a.jpg", "t", (60, 80)), False)[0] is IMAGE_UNREADABLE
    tables_lost = data[:2] + data[data.index(b"\xff\xc0") : scan] + data[-2:]
    (tmp_path / "a.jpg").write_bytes(tables_lost)
    assert image_fault(tmp_path, SensorFile("a.jpg", "t", (60, 80)), False) is None
    assert image_fault(tmp_path, SensorFile("a.jpg", "t", (60, 80)), True)[0] is IMAGE_UNREADABLE


def test_a_folder_in_place_of_a_file_is_reported(tmp_path):
    (tmp_path / "a.jpg").mkdir()
    kind, message = image_fault(tmp_path, SensorFile("a.jpg", "t", (1, 1)), False)
    assert kind is IMAGE_MISSING and message.endswith("Is a directory")


@pytest.mark.parametrize("required", [False, True])
def test_missing_and_damaged_lidar_files_are_reported(tmp_path, required):
    file = SensorFile("a.bin", "t", (0, 0))
    kind, message = lidar_fault(tmp_path, file, required, read=True)
    assert kind == lidar_missing(required) and kind.is_error == required
    assert message == "a.bin (t)"
    for length, fault in ((0, LIDAR_DAMAGED), (30, LIDAR_DAMAGED), (40, None)):
        (tmp_path / "a.bin").write_bytes(b"\0" * length)
        found = lidar_fault(tmp_path, file, required, read=False)
        text = f"a.bin (t): contains {length} bytes, not rows of 5 float32 numbers"
        assert found == (fault and (fault, text))
