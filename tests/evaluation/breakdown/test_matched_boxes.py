"""Boxes with their matches: rows, and the ego frame of nuScenes samples."""

import numpy as np
import pytest
from devkit_metrics import noisy
from made_boxes import crowded

from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.evaluation.detection.arithmetic import yaw
from bev.evaluation.detection.metrics import DISTANCES
from bev.evaluation.nuscenes.matched import matched_boxes, scene_descriptions
from bev.evaluation.nuscenes.official import counted_boxes
from bev.evaluation.nuscenes.submission import write_submission


def test_rows_name_the_matched_pairs():
    boxes = crowded(6)
    for name, one in boxes.matches.classes.items():
        label = boxes.label_of(name)
        assert (boxes.predicted.label[one.row] == label).all()
        assert (boxes.predicted.score[one.row] == one.score).all()
        assert (boxes.predicted.sample[one.row] == one.sample).all()
        for at, distance in enumerate(DISTANCES):
            hits = one.hits[at]
            gt_row = one.gt_row[at][hits]
            assert len(set(gt_row.tolist())) == len(gt_row)
            assert (boxes.gt_boxes.label[gt_row] == label).all()
            assert (boxes.gt_boxes.sample[gt_row] == one.sample[hits]).all()
            apart = boxes.predicted.translation[one.row[hits]] - boxes.gt_boxes.translation[gt_row]
            measured = np.hypot(apart[:, 0], apart[:, 1])
            assert (measured < distance).all()
            assert measured == pytest.approx(one.errors["trans_err"][at])


def test_boxes_of_nuscenes_are_those_of_their_frames(synthetic_world, tmp_path):
    """In the ego frame, with heading, velocity and visibility, each row as in the frame."""
    index = open_index(synthetic_world, "v1.0-synthetic")
    frames = read_frames(index, "synthetic_val", cameras=())
    path = write_submission(tmp_path / "results_nusc.json", noisy(list(frames)))
    boxes = matched_boxes(counted_boxes(path, index, "synthetic_val"), index)
    assert boxes.matches.tokens == tuple(sorted(frames.tokens))
    by_token = {frame.token: frame for frame in frames}
    checked = 0
    for number, token in enumerate(boxes.matches.tokens):
        frame, own = by_token[token], boxes.gt_boxes.take(boxes.gt_boxes.sample == number)
        assert boxes.scenes[number] == frame.scene
        for row in range(len(own)):
            apart = (frame.boxes.center - frame.boxes.center.new_tensor(own.translation[row])).norm(
                dim=1
            )
            match = int(apart.argmin())
            assert apart[match] < 1e-3
            turn = float(frame.boxes.yaw[match]) - yaw(own.rotation[[row]])[0]
            assert np.cos(turn) == pytest.approx(1, abs=1e-5)
            velocity = frame.boxes.velocity[match].numpy()
            np.testing.assert_allclose(own.velocity[row], velocity, atol=1e-3)
            assert own.visibility[row] == int(frame.boxes.visibility[match])
            checked += 1
    assert checked > 20
    assert {*boxes.scenes} <= {*scene_descriptions(index)}
    assert (boxes.gt_of_predicted >= 0).any()
