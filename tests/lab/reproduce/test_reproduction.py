"""The verdict on figures, the files, and what each stage reports."""

import ast
import json
import math
from dataclasses import replace

import pytest
import torch

from bev.cli.reproduce import on_one_gpu
from bev.config import find_config, load_file
from bev.evaluation.scores import Scores
from bev.lab.reproduce.published import PUBLISHED, rows_of
from bev.lab.reproduce.record import Reproduction
from bev.lab.reproduce.stages import data_stage, state_hash, switches_stage


def measured(mean_ap, nd_score, trained=False, findings=()):
    scores = Scores({"mAP": mean_ap, "NDS": nd_score, "mATE": math.nan}, {"car": {"AP": math.nan}})
    stages = {"machine": {"findings": []}, "data": {"findings": [*findings]}}
    rows = rows_of("bevdet_r50_dev21")
    return Reproduction("bevdet_r50_dev21", rows, {"head": scores}, stages, trained)


def test_the_nearest_published_row_is_compared():
    assert measured(0.3134, 0.3976).verdict().startswith("BEVDet-R50 dev2.1, CBGS, 20 epochs (tab")
    assert "24 epochs is reproduced" in measured(0.2835, 0.3504).verdict()
    assert "is not reproduced" in measured(0.2845, 0.3504).verdict()
    assert "24 epochs is reproduced" in measured(0.2765, 0.3460, trained=True).verdict()
    assert "is not reproduced" in measured(0.283, 0.356, trained=True).verdict()


def test_a_difference_names_the_stages_that_report_something(tmp_path):
    done = measured(0.25, 0.3, findings=["The split has 81 samples."])
    assert done.verdict().endswith("limit of rounding; see what differs in data.")
    text = done.text()
    assert "28.3 ( -3.3)" in text and "data: The split has 81 samples." in text
    assert "machine: as expected" in text and "25.00" in text
    done.write(tmp_path / "new" / "reproduction.json")
    content = json.loads((tmp_path / "new" / "reproduction.json").read_text())
    assert content["measured"] == {"mAP": 0.25, "NDS": 0.3, "mATE": None}
    assert content["rows"][0]["difference"]["mAP"] == pytest.approx(-0.033)
    assert content["classes"]["head"]["car"]["AP"] is None


def test_a_config_without_a_published_figure_is_not_compared():
    done = replace(measured(0.1, 0.1), config="bevdepth_r50_1key", published=())
    assert "No published figure of bevdepth_r50_1key is known" in done.verdict()
    assert "10.00" in done.text()


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_figures_are_those_of_the_configs_docstring(name):
    assert load_file(name).name == name
    text = ast.get_docstring(ast.parse(find_config(name).read_text())) or ""
    for row in PUBLISHED[name]:
        assert all(f"{100 * value:.2f}".rstrip("0") in text for value in row.figures.values()), row


def test_there_is_no_verdict_without_a_published_row_or_a_known_variation():
    done = replace(measured(0.28, 0.33, trained=True), config="lss_r50")
    assert done.verdict().startswith("lss_r50 reproduces no published row; the nearest is BEVDet")
    figures = {"lss": Scores({"IoU_vehicle_opencv": 0.33})}
    done = replace(done, config="lss_seg_effb0", published=rows_of("lss_seg_effb0"), heads=figures)
    assert "IoU_vehicle_opencv varies between seeds is not known" in done.verdict()
    assert "is reproduced" in replace(done, trained=False).verdict()


def test_one_gpu_takes_the_published_global_batch():
    config = load_file("lss_r50")
    single = on_one_gpu(config)
    assert single.data.batch_size * single.train.accumulate == config.train.lr_batch == 64
    assert single.train.devices == 1 and single.model == config.model
    small = replace(config, data=replace(config.data, batch_size=4))
    assert on_one_gpu(small).train.accumulate == 16
    assert on_one_gpu(small, 3).train.accumulate == 3


def test_switches_and_overrides_are_listed():
    shipped = load_file("bevdet_r50_dev21")
    data = replace(shipped.data, batch_size=1, test_scale=0.1)
    config = replace(shipped, data=data, train=replace(shipped.train, lr=1.0))
    stage = switches_stage(config, shipped, trained=False)
    assert stage["switches"]["model.view.frustum"] == "corners"
    assert stage["switches"]["model.view.channels"] == 64
    assert {"data.batch_size", "data.test_scale", "train.lr"} <= set(stage["overrides"])
    assert stage["findings"] == ["data.test_scale is 0.1, and 0.0 in the config bevdet_r50_dev21."]
    assert len(switches_stage(config, shipped, trained=True)["findings"]) == 3
    assert stage["docstrings"]["bevdet_r50_dev21"].startswith("BEVDet-R50 of the dev2.1 code")
    assert "Deviations: " in stage["docstrings"]["bevdet_r50_dev20"]


def test_a_hash_of_weights_depends_on_every_value_and_not_on_their_order():
    state = {"b": torch.arange(3.0), "a": torch.tensor(1)}
    same = {"a": torch.tensor(1), "b": torch.arange(3.0)}
    assert state_hash(state) == state_hash(same)
    for other in ({**same, "a": torch.tensor(2)}, {**same, "b": torch.arange(3.0).half()}):
        assert state_hash(other) != state_hash(state)


def test_the_real_split_is_complete_but_for_its_images(nuscenes_root):
    config = load_file("bevdet_r50_dev21")
    data = replace(config.data, root=nuscenes_root, version="v1.0-valgt-mini")
    stage = data_stage(replace(config, data=data), "mini_val")
    assert (stage["scenes"], stage["samples"], stage["boxes"], stage["counted"]) == (
        2, 81, 4441, 3393,
    )  # fmt: skip
    assert sum(stage["boxes_by_class"].values()) == 4441
    assert stage["findings"][0].startswith("The figures are published for val; mini_val is a part")
    assert "images are missing" in stage["findings"][1] and len(stage["findings"]) == 2
