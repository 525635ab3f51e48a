"""Numbers of parameters of the configs and their parts, compared with published ones."""

import math
from dataclasses import replace

import pytest
import torch
from published_tables import TABLES
from small_inputs import CONFIGS

from bev.config import load_file
from bev.lab.convert.published import FAMILIES

# Published millions of parameters; the last digit is rounded.
BREAKDOWN = {
    "backbone": "23.5",
    "neck": "3.9",
    "view": "0.07",
    "encoder.stages": "19.4",
    "encoder.neck": "7.3",
    "head": "1.5",
}
TOTALS = {"bevdet_r50": "55.7", "bevdet_r50_dev20": "55.7", "bevdet_r50_first": "48.0"}

# Prefixes of each part's weights in a published state dict.
PLACES = {
    "backbone": ("img_backbone.", "backbone.img_backbone."),
    "neck": ("img_neck.", "backbone.img_neck."),
    "view": ("img_view_transformer.", "backbone.depth_net."),
    "encoder.stages": ("img_bev_encoder_backbone.", "head.trunk."),
    "encoder.neck": ("img_bev_encoder_neck.", "head.neck."),
    "head": ("pts_bbox_head.", "head.shared_conv.", "head.task_heads."),
}


def parts(name):
    """Number of parameters of each part of our model."""
    config = load_file(CONFIGS / f"{name}.py").model
    with torch.device("meta"):
        model = replace(config, backbone=replace(config.backbone, pretrained=False)).build()
    counts = dict.fromkeys(BREAKDOWN, 0)
    for parameter, value in model.named_parameters():
        part = parameter.split(".")[0]
        if part == "encoder":
            trunk = parameter.startswith(("encoder.stages.", "encoder.stem."))
            part = "encoder.stages" if trunk else "encoder.neck"
        counts[part] += value.numel()
    return counts


def close(count, published):
    """True within 1 %, or within the rounding of the published figure."""
    value = float(published) * 1e6
    rounding = 0.5 * 10 ** (6 - len(published.split(".")[1]))
    return abs(count - value) <= max(0.01 * value, rounding)


def test_bevdets_parts_have_the_published_sizes():
    counts = parts("bevdet_r50")
    assert {part: close(counts[part], BREAKDOWN[part]) for part in counts} == dict.fromkeys(
        BREAKDOWN, True
    )


@pytest.mark.parametrize("name", TOTALS)
def test_bevdets_total_is_the_published_one(name):
    assert close(sum(parts(name).values()), TOTALS[name])


@pytest.mark.parametrize("family", FAMILIES)
def test_each_part_has_as_many_parameters_as_the_published_state_dict(family):
    """Equal except for folded layers: one bias, and two linear layers of 512."""
    learnt = {
        name: math.prod(shape)
        for name, shape in TABLES[family].items()
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    }
    ours = parts(FAMILIES[family].config)
    folded = {"view": 512 + 2 * 512 * 513} if "bevdepth" in family else {}
    for part, places in PLACES.items():
        theirs = sum(count for name, count in learnt.items() if name.startswith(places))
        assert ours[part] + folded.get(part, 0) == theirs
