"""nuscenes-devkit reads, renders and evaluates the synthetic world."""

import json

import matplotlib
import numpy as np
import pytest
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.detection.evaluate import DetectionEval
from nuscenes.utils.data_classes import LidarPointCloud
from nuscenes.utils.geometry_utils import points_in_box

from bev.data.nuscenes.writing.tables import TABLES
from bev.lab.synthetic import TRAIN_SPLIT, VAL_SPLIT, VERSION
from bev.lab.synthetic.rig import CAMERAS, LIDAR
from bev.lab.synthetic.scene.scene import make_scene

matplotlib.use("Agg")


def test_all_tables_and_files_exist(devkit, synthetic_world, synthetic_config):
    assert {p.stem for p in (synthetic_world / VERSION).iterdir()} == {*TABLES, "splits"}
    assert len(devkit.scene) == 3 and len(devkit.sample) == 12
    splits = json.loads((synthetic_world / VERSION / "splits.json").read_text())
    assert [len(splits[s]) for s in (TRAIN_SPLIT, VAL_SPLIT)] == [2, 1]
    assert not set(splits[TRAIN_SPLIT]) & set(splits[VAL_SPLIT])
    for row in devkit.sample_data:
        assert (synthetic_world / row["filename"]).is_file()
    for sample in devkit.sample:
        assert set(sample["data"]) == {*CAMERAS, LIDAR}
    times = np.array([s["timestamp"] for s in devkit.sample]).reshape(3, 4)
    assert (np.diff(times) == 500_000).all()


@pytest.mark.slow
@pytest.mark.skipif(
    tuple(map(int, np.__version__.split(".")[:2])) >= (2, 5),
    reason="nuscenes-devkit 1.2 cannot crop a map with numpy 2.5: int() of an array of one number",
)
def test_the_devkit_renders_samples(devkit, tmp_path):
    sample = devkit.sample[1]
    for channel in ("CAM_BACK", LIDAR):
        out = tmp_path / f"{channel}.png"
        devkit.render_sample_data(sample["data"][channel], out_path=str(out), verbose=False)
        assert out.stat().st_size > 10_000
    devkit.render_annotation(sample["anns"][0], out_path=str(tmp_path / "box.png"))
    assert (tmp_path / "box.png").is_file()


def test_lidar_counts_are_the_points_in_the_boxes(devkit, synthetic_world):
    for sample in devkit.sample:
        path, boxes, _ = devkit.get_sample_data(sample["data"][LIDAR])
        points = LidarPointCloud.from_file(path).points[:3]
        for box in boxes:
            row = devkit.get("sample_annotation", box.token)
            assert points_in_box(box, points).sum() == row["num_lidar_pts"], box.name


def test_velocity_is_the_true_motion(devkit, synthetic_config):
    for key in synthetic_config.scene_keys():
        scene = make_scene(key, synthetic_config)
        record = next(s for s in devkit.scene if s["name"] == key.name)
        sample = devkit.get("sample", record["first_sample_token"])
        compared = 0
        while sample:
            time = np.array(scene.seconds(sample["timestamp"]))
            poses = np.array(
                [[float(a) for a in actor.motion.pose(time)] for actor in scene.actors]
            )
            for token in sample["anns"]:
                row = devkit.get("sample_annotation", token)
                gap = np.hypot(*(poses[:, :2] - row["translation"][:2]).T)
                assert gap.min() < 1e-5
                actor, yaw = scene.actors[gap.argmin()], poses[gap.argmin(), 2]
                true = actor.motion.speed * np.array([np.cos(yaw), np.sin(yaw)])
                assert np.abs(devkit.box_velocity(token)[:2] - true).max() < 0.35
                names = [devkit.get("attribute", t)["name"] for t in row["attribute_tokens"]]
                assert names == ([actor.attribute] if actor.attribute else [])
                compared += 1
            sample = devkit.get("sample", sample["next"]) if sample["next"] else None
        assert compared > 100


def test_cameras_have_their_own_times_and_poses(devkit, synthetic_config):
    scene = make_scene(synthetic_config.scene_keys()[0], synthetic_config)
    assert scene.ego.speed > 1.0
    sample = devkit.sample[0]
    lidar = devkit.get("sample_data", sample["data"][LIDAR])
    for channel in CAMERAS:
        row = devkit.get("sample_data", sample["data"][channel])
        pose = devkit.get("ego_pose", row["ego_pose_token"])
        assert row["timestamp"] == pose["timestamp"]
        late = (row["timestamp"] - lidar["timestamp"]) * 1e-6
        assert -0.05 < late < 0.002
        true = scene.ego_pose(lidar["timestamp"])[:3, 3] + (
            scene.ego.speed * late * scene.ego_pose(row["timestamp"])[:3, 0]
        )
        np.testing.assert_allclose(pose["translation"], true, atol=2e-3)


@pytest.mark.parametrize("split", [TRAIN_SPLIT, VAL_SPLIT])
def test_ground_truth_as_prediction_has_perfect_scores(devkit, synthetic_config, tmp_path, split):
    names = {key.name for key in synthetic_config.scene_keys() if key.split == split}
    results = {}
    for sample in devkit.sample:
        if devkit.get("scene", sample["scene_token"])["name"] not in names:
            continue
        results[sample["token"]] = []
        for token in sample["anns"]:
            row = devkit.get("sample_annotation", token)
            if row["num_lidar_pts"]:
                results[sample["token"]].append(_prediction(devkit, row))
    path = tmp_path / "results.json"
    meta = dict.fromkeys(("use_lidar", "use_radar", "use_map", "use_external"), False)
    path.write_text(json.dumps({"meta": {**meta, "use_camera": True}, "results": results}))
    config = config_factory("detection_cvpr_2019")
    evaluation = DetectionEval(devkit, config, str(path), split, str(tmp_path), verbose=False)
    metrics, _ = evaluation.evaluate()
    present = {box.detection_name for box in evaluation.gt_boxes.all}
    assert len(present) >= 8
    for name in present:
        assert np.mean(list(metrics._label_aps[name].values())) >= 0.99, name
        for error, value in metrics._label_tp_errors[name].items():
            assert np.isnan(value) or value < 1e-3, (name, error)


def _prediction(devkit, row) -> dict:
    from nuscenes.eval.detection.utils import category_to_detection_name

    attributes = [devkit.get("attribute", t)["name"] for t in row["attribute_tokens"]]
    return {
        "sample_token": row["sample_token"],
        "translation": row["translation"],
        "size": row["size"],
        "rotation": row["rotation"],
        "velocity": devkit.box_velocity(row["token"])[:2].tolist(),
        "detection_name": category_to_detection_name(row["category_name"]),
        "detection_score": 0.5,
        "attribute_name": attributes[0] if attributes else "",
    }
