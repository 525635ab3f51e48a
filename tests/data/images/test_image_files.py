"""Image files as they occur: orientations, trailing bytes, depths, false headers, other files."""

import io
import os
import socket
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bev.data.checks.files import (
    IMAGE_CUT,
    IMAGE_MISSING,
    IMAGE_SIZE,
    IMAGE_TURNED,
    IMAGE_UNREADABLE,
    SensorFile,
    image_fault,
)
from bev.data.images import loading
from bev.data.images.loading import decode, stated_size
from bev.errors import DataError

SIZE = (48, 80)
PIXELS = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)


def encoded(kind: str, pixels: np.ndarray = PIXELS) -> bytes:
    return cv2.imencode(kind, pixels)[1].tobytes()


def write(folder: Path, data: bytes, name: str = "a.jpg") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def fault(path: Path, size: tuple[int, int] = SIZE, whole: bool = False):
    """Kind of the fault that the data check finds, or None."""
    found = image_fault(path.parent, SensorFile(path.name, "t", size), whole)
    return found and found[0]


@pytest.mark.parametrize("kind", [".png", ".bmp", ".tif", ".webp"])
@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_a_reduced_image_averages_blocks_whatever_its_format(tmp_path, kind, reduction):
    """OpenCV reduces files of these formats by skipping pixels."""
    height, width = (length // reduction for length in SIZE)
    blocks = PIXELS.reshape(height, reduction, width, reduction, 3).mean(axis=(1, 3))
    options = [cv2.IMWRITE_WEBP_QUALITY, 101] if kind == ".webp" else []  # lossless
    path = write(tmp_path, cv2.imencode(kind, PIXELS, options)[1].tobytes())
    assert np.abs(decode(path, reduction, SIZE) - blocks).max() <= 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("compression", [cv2.IMWRITE_TIFF_COMPRESSION_NONE, 5])  # 5 is LZW
def test_the_size_of_a_tiff_may_be_behind_its_pixels(tmp_path, compression):
    pixels = np.random.default_rng(0).integers(0, 255, (600, 800, 3), np.uint8)
    path = tmp_path / "a.tif"
    cv2.imwrite(str(path), pixels, [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    assert int.from_bytes(path.read_bytes()[4:8], "little") > 2**20  # place of the directory
    assert stated_size(path) == (600, 800)
    assert (decode(path) == pixels).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pixels_are_read_as_stored_whatever_the_orientation(tmp_path, kind):
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        buffer = io.BytesIO()
        lossless = {"lossless": True} if kind == "WEBP" else {}
        Image.fromarray(PIXELS).save(buffer, kind, exif=exif, **lossless)
        path = write(tmp_path, buffer.getvalue())
        plain = io.BytesIO()
        Image.fromarray(PIXELS).save(plain, kind, **lossless)
        for reduction in (1, 2):
            expected = decode(write(tmp_path, plain.getvalue(), "plain"), reduction)
            assert (decode(path, reduction, SIZE) == expected).all()
        turned = kind == "JPEG" and orientation > 1
        assert fault(path) is fault(path, whole=True) is (IMAGE_TURNED if turned else None)


def test_a_tiff_that_the_decoder_would_turn_is_refused(tmp_path):
    for orientation in (1, 3, 6):
        buffer = io.BytesIO()
        Image.fromarray(PIXELS).save(buffer, "TIFF", tiffinfo={0x0112: orientation})
        path = write(tmp_path, buffer.getvalue(), "a.tiff")
        if orientation == 1:
            assert (decode(path, 1, SIZE) == PIXELS[..., ::-1]).all() and fault(path) is None
            continue
        with pytest.raises(DataError, match="upright pixels"):
            decode(path, 1, SIZE)
        assert fault(path) is IMAGE_UNREADABLE


TRAILERS = {
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
    "picture": encoded(".jpg", PIXELS[:16, :16]),
    "half_a_picture": encoded(".jpg", PIXELS[:32, :32])[:-600],
    "noise": np.random.default_rng(1).bytes(100_000),
}


@pytest.mark.parametrize("trailer", TRAILERS.values(), ids=TRAILERS)
def test_bytes_behind_the_end_of_a_jpeg_do_no_harm(tmp_path, trailer):
    for progressive in (0, 1):
        flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_RST_INTERVAL, 1]
        data = cv2.imencode(".jpg", PIXELS, flags)[1].tobytes()
        expected = decode(write(tmp_path, data))
        path = write(tmp_path, data + trailer)
        assert (decode(path, 1, SIZE) == expected).all()
        assert fault(path) is fault(path, whole=True) is None


@pytest.mark.parametrize("filler", [b"", bytes(5000), b"\xff" * 5000], ids=["", "zeros", "ones"])
def test_a_cut_jpeg_is_found_also_if_the_file_has_its_full_length(tmp_path, filler):
    """Interrupted copies may leave a file of the right length whose end was never written."""
    path = write(tmp_path, encoded(".jpg")[:-900] + filler)
    with pytest.raises(DataError, match="truncated"):
        decode(path, 1, SIZE)
    assert fault(path) is IMAGE_CUT


def test_a_preview_inside_a_cut_jpeg_does_not_end_it(tmp_path):
    preview = b"Exif\0\0" + encoded(".jpg", PIXELS[:16, :16])
    data = encoded(".jpg")
    data = data[:2] + b"\xff\xe1" + (len(preview) + 2).to_bytes(2, "big") + preview + data[2:]
    assert fault(write(tmp_path, data)) is None
    assert fault(write(tmp_path, data[:-900])) is IMAGE_CUT


@pytest.mark.parametrize("kind", [".png", ".tiff", ".ppm", ".jp2"])
def test_images_of_more_than_8_bits_are_refused(tmp_path, kind):
    """Twelve bits in sixteen would become almost black, and nothing names the range."""
    path = write(tmp_path, encoded(kind, PIXELS.astype(np.uint16) * 16), f"a{kind}")
    for reduction in (1, 2):
        with pytest.raises(DataError, match="channels of uint16.* 8 bits per channel"):
            decode(path, reduction, SIZE)
    assert fault(path) is None and fault(path, whole=True) is IMAGE_UNREADABLE
    path = write(tmp_path, encoded(kind), f"a{kind}")
    assert decode(path, 1, SIZE).mean() == pytest.approx(PIXELS.mean(), abs=2)
    assert fault(path) is None


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_grey_and_palette_images_keep_their_brightness(tmp_path, mode):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(buffer, "PNG")
    found = decode(write(tmp_path, buffer.getvalue()), 1, SIZE)
    assert found.dtype == np.uint8 and found.mean() == pytest.approx(PIXELS.mean(), abs=4)


def claiming(kind: str, size: tuple[int, int]) -> bytes:
    """An image whose header claims another size."""
    height, width = size
    data = bytearray(encoded(kind))
    if kind == ".jpg":
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    elif kind == ".png":
        data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    elif kind == ".bmp":
        data[18:26] = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    elif kind == ".ppm":
        data = data.replace(b"80 48", b"%d %d" % (width, height))
    return bytes(data)


@pytest.mark.parametrize("kind", [".jpg", ".png", ".bmp", ".ppm"])
def test_a_header_of_another_size_is_refused_before_decoding(tmp_path, kind, monkeypatch):
    def imdecode(*_):
        raise MemoryError

    for claimed in ((65500, 65500), (65535, 1), (96, 160)):
        path = write(tmp_path, claiming(kind, claimed), f"a{kind}")
        with monkeypatch.context() as patch:
            patch.setattr(cv2, "imdecode", imdecode)
            message = "not an image|is 65500x65500, but its calibration is for 80x48"
            message = message if claimed[0] == 65500 else "its calibration is for 80x48"
            with pytest.raises(DataError, match=message):
                decode(path, 8, SIZE)
            assert fault(path) in (IMAGE_SIZE, IMAGE_UNREADABLE)
            # Tables that agree with the header do not help.
            if claimed[0] == 65500:
                for size in (claimed, None):
                    with pytest.raises(DataError, match="not an image|more than .* pixels"):
                        decode(path, 8, size)


def test_a_file_too_long_to_be_an_image_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "_MOST_BYTES", 20_000)
    path = write(tmp_path, encoded(".jpg") + bytes(20_000))
    with pytest.raises(DataError, match="more than 20000; download it again"):
        decode(path, 1, SIZE)


def special_files(folder: Path) -> dict[str, Path]:
    os.mkfifo(folder / "pipe.jpg")
    (folder / "folder.jpg").mkdir()
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(folder / "socket.jpg"))
    return {path.stem: path for path in folder.iterdir()}


def test_what_is_no_regular_file_is_named_and_never_opened(tmp_path):
    files = special_files(tmp_path)
    assert len(files) == 5
    for path in files.values():
        with pytest.raises(DataError, match=rf"{path.name} cannot be read \(.+\); restore it"):
            decode(path, 1, SIZE)
        assert fault(path) is fault(path, whole=True) is IMAGE_MISSING


def test_a_png_chunk_that_claims_more_than_the_file_is_not_decoded(tmp_path):
    """The decoder reserved the bytes that it claims, 1.1 GB, before it read them."""
    path = tmp_path / "a.png"
    whole = cv2.imencode(".png", np.zeros((96, 160, 3), np.uint8))[1].tobytes()
    for data in (
        whole[:33] + (0x7FFFFFFF).to_bytes(4, "big") + whole[37:],  # behind the header
        whole[:29] + whole[:29],
        whole[:-1],
    ):
        path.write_bytes(data)
        with pytest.raises(DataError, match="is truncated"):
            decode(path)
    path.write_bytes(whole + b"behind the end")
    assert decode(path).shape == (96, 160, 3)


@pytest.mark.parametrize("length", [0, 30_000, 65_000])
def test_the_size_is_found_behind_long_metadata(length, tmp_path):
    """Twelve segments of metadata before the size: none, and beyond the first 64 KiB read."""
    data = encoded(".jpg")
    segment = b"\xff\xef" + (length + 2).to_bytes(2, "big") + bytes(length)
    path = write(tmp_path, data[:2] + 12 * segment + data[2:])
    assert stated_size(path) == SIZE
