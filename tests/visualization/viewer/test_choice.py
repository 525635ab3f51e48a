"""What is chosen: moments, the selected box and its track, layers, score."""

import numpy as np
from made_scene import made_recording

from bev.visualization.viewer.choice import Choice, Selected

RECORDING = made_recording()


def test_a_selected_box_stays_selected_where_its_track_goes_on():
    truth, predicted = Choice(selected=Selected(0, 1)), Choice(selected=Selected(1, 1))
    assert truth.at(RECORDING, 2).selected == Selected(0, 1)
    unknown = made_recording()
    for moment in unknown.moments:
        moment.boxes[1].track[:] = -1
    assert predicted.at(unknown, 1) == Choice(moment=1)
    unknown.moments[1].boxes[0].track[:] = (9, 4)
    assert truth.at(unknown, 1).selected == Selected(0, 0)
    unknown.moments[1].boxes[0].track[:] = (1, 2)
    assert truth.at(unknown, 1).selected is None


def test_moments_follow_one_another_in_a_circle():
    assert [Choice(at).next(RECORDING).moment for at in range(3)] == [1, 2, 0]
    assert Choice().next(RECORDING, -1).moment == 2


def test_a_moment_that_there_is_not_is_the_nearest_one():
    """A browser may send any number, whatever the ends of its slider are."""
    assert Choice(1).at(RECORDING, 10**9).moment == 2 and Choice(1).at(RECORDING, -7).moment == 0


def test_a_click_on_a_moment_that_is_gone_selects_nothing():
    assert Choice(1).clicked(1, Selected(0, 1)).selected == Selected(0, 1)
    assert Choice(2).clicked(1, Selected(0, 1)).selected is None


def test_layers_and_the_score():
    choice = Choice(score=0.5).switched("lidar", False).switched("images", False)
    assert choice.hidden == {"lidar", "images"}
    assert choice.switched("lidar", True).hidden == {"images"}
    truth, predicted = RECORDING.moments[0].boxes
    assert choice.shown(1, predicted).tolist() == [True, False]
    assert np.all(choice.shown(0, truth))
