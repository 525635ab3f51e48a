"""Video files that OpenCV reads back."""

import cv2
import numpy as np
import pytest

from bev.visualization.canvas import save_png
from bev.visualization.video import write_video


def flat(value: int, size=(64, 97)) -> np.ndarray:
    image = np.zeros((*size, 3), np.uint8)
    image[..., 0] = value  # red
    return image


def test_frames_come_back_in_order_and_colour(tmp_path):
    still = save_png(flat(200), tmp_path / "still.png")
    path = write_video((flat(60), still, flat(120, (30, 40))), tmp_path / "new" / "a.mp4", fps=2)
    video = cv2.VideoCapture(str(path))
    assert video.get(cv2.CAP_PROP_FPS) == 2
    reds = []
    while (read := video.read())[0]:
        assert read[1].shape == (64, 96, 3)
        reds.append(read[1][..., 2].mean())
    assert reds == pytest.approx([60, 200, 120], abs=8)


def test_no_pictures_or_a_wrong_extension_are_errors_and_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match="no pictures"):
        write_video([], tmp_path / "a.mp4")
    with pytest.raises(ValueError, match=r"must end in \.mp4"):
        write_video([flat(1)], tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []
