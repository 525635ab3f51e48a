"""Images that moments by time leave out, or take for moments of their own."""

import pytest
from test_frames_of import images, rig

from bev.data.rig import frames_of
from bev.data.rig.doubled import DOUBLED, UNUSED, check_moments
from bev.errors import DataError

RIG = rig("f/{seconds}.png", "b/{seconds}.png")


def test_images_that_no_moment_uses_are_named(tmp_path):
    """A second image of 1.1 s, and one a minute late; each moment has its two cameras."""
    folder = images(tmp_path / "run", *(f"f/{n}.0.png" for n in (1, 2, 3)))
    images(folder, "b/1.1.png", "b/1.2.png", "b/2.1.png", "b/3.1.png", "b/63.png")
    assert [len(frame.cameras) for frame in frames_of(RIG, folder)] == [2, 2, 2]
    found = check_moments(RIG, folder, tmp_path).by_kind
    assert found == {UNUSED: ["back: run/b/1.2.png", "back: run/b/63.png"]}


def test_a_second_image_of_the_first_camera_is_named(tmp_path):
    """It takes the other camera's image from the moment that it is beside."""
    folder = images(tmp_path, *(f"{c}/{n}.0.png" for n in (1, 2, 3) for c in "fb"), "f/1.02.png")
    (folder / "b" / "1.0.png").rename(folder / "b" / "1.04.png")
    with pytest.raises(DataError, match="Camera back has no image of moment 1000000"):
        frames_of(RIG, folder)
    found = check_moments(RIG, folder, folder).by_kind
    assert found == {DOUBLED: ["front: f/1.0.png and f/1.02.png, 0.02 s"]}


@pytest.mark.parametrize("camera", ["front", "back"])
def test_two_images_of_one_camera_and_time_are_an_error(camera, tmp_path):
    folder = images(tmp_path, "f/1.0.png", "b/1.0.png", f"{camera[0]}/1.00.png")
    message = f"Camera {camera} has two images of time 1000000 microseconds: .*1.0.png and .*1.00"
    with pytest.raises(DataError, match=message):
        frames_of(RIG, folder)


def test_a_clock_that_stands_still_is_an_error_for_any_camera(tmp_path):
    folder = images(tmp_path, *(f"{camera}/{n}.png" for camera in "fb" for n in (1, 2)))
    rows = "f/1.png,1\nf/2.png,2\nb/1.png,1\nb/2.png,1\n"
    (tmp_path / "times.csv").write_text(f"image,seconds\n{rows}")
    message = "Camera back has two images of time 1000000 microseconds: .*b/1.png and .*b/2.png"
    with pytest.raises(DataError, match=message):
        frames_of(rig("f/*.png", "b/*.png"), folder, times=tmp_path / "times.csv")


def test_images_that_names_group_are_all_used(tmp_path):
    folder = images(tmp_path, "f/1_0.0.png", "f/2_0.1.png", "f/3_9.0.png")
    assert not check_moments(rig("f/{moment}_{seconds}.png"), folder, folder).by_kind
