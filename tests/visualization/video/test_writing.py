"""Video files that OpenCV reads back."""

import builtins
import errno
import importlib

import cv2
import numpy as np
import pytest
from required import need

from bev.errors import ConfigError
from bev.visualization.canvas import save_png
from bev.visualization.video.writing import check_name, write_video


def flat(value: int, size=(64, 97)) -> np.ndarray:
    image = np.zeros((*size, 3), np.uint8)
    image[..., 0] = value  # red
    return image


def test_frames_come_back_in_order_and_colour(tmp_path):
    need("imageio_ffmpeg")
    still = save_png(flat(200), tmp_path / "still.png")
    path = write_video((flat(60), still, flat(120, (30, 40))), tmp_path / "new" / "a.mp4", fps=2)
    assert [file.name for file in path.parent.iterdir()] == ["a.mp4"]
    video = cv2.VideoCapture(str(path))
    assert video.get(cv2.CAP_PROP_FPS) == 2
    reds = []
    while (read := video.read())[0]:
        assert read[1].shape == (64, 96, 3)
        reds.append(read[1][..., 2].mean())
    assert reds == pytest.approx([60, 200, 120], abs=8)
    # H.264, whose header precedes the pictures, so that a browser plays while it loads.
    content = path.read_bytes()
    assert b"avc1" in content and content.index(b"moov") < content.index(b"mdat")


def test_no_pictures_or_a_wrong_name_are_errors_and_leave_no_file(tmp_path):
    need("imageio_ffmpeg")
    with pytest.raises(ConfigError, match="no pictures"):
        write_video([], tmp_path / "a.mp4")
    with pytest.raises(ConfigError, match=r"must end in \.mp4"):
        write_video([flat(1)], tmp_path / "a.gif")
    with pytest.raises(ConfigError, match=r"write --video out.mp4 --fps 2\.5"):
        check_name("2.5")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "imageio_ffmpeg":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"imageio-ffmpeg; install it with pip install 'bevlab\["):
        write_video([flat(1)], tmp_path / "a.mp4")


def test_a_program_without_the_codec_is_named(tmp_path, monkeypatch):
    need("imageio_ffmpeg")
    ffmpeg = importlib.import_module("imageio_ffmpeg")
    program = tmp_path / "ffmpeg"
    program.write_text(
        "#!/bin/sh\ncase $1 in -version) exit 0;; esac\necho Unknown encoder >&2\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(ffmpeg, "get_ffmpeg_exe", lambda: str(program))
    monkeypatch.setattr("imageio_ffmpeg._io.get_ffmpeg_exe", lambda: str(program), raising=False)
    with pytest.raises(ConfigError, match="libx264"):
        write_video([flat(1, (400, 400))] * 20, tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()


def test_a_fault_of_the_pictures_is_not_the_encoder_s(tmp_path):
    """Such as a full disk, on which their detections are written."""
    need("imageio_ffmpeg")

    def frames():
        yield flat(1)
        raise OSError(errno.ENOSPC, "No space left on device", "/out/boxes.json")

    with pytest.raises(OSError, match="No space left on device"):
        write_video(frames(), tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []
