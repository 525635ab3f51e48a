"""Decoding and suppression in the graph, and rotated NMS in numpy."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bev.data.nuscenes.classes import NUSCENES
from bev.geometry import BevGrid
from bev.lab.deploy.decoding import Decoding, greedy, suppression_of
from bev.lab.deploy.nms import rotated_nms as numpy_nms
from bev.lab.deploy.runtime import boxes_of
from bev.models import CenterHeadConfig, DecodeConfig
from bev.models.heads.base import Features, FeatureSpec
from bev.models.heads.center.nms import circle_nms, rotated_nms

GRID = BevGrid(x=(-12.0, 20.0, 1.0), y=(-8.0, 16.0, 1.0))


@given(seed=st.integers(0, 10**6), count=st.integers(1, 60))
def test_the_fixed_point_is_greedy_suppression(seed, count):
    torch.manual_seed(seed)
    centers, radius = torch.rand(count, 2) * 10, torch.rand(count) * 4
    group = torch.randint(0, 3, (count,))
    near = (torch.cdist(centers, centers) < radius[:, None]) & (group[:, None] == group)
    removes = near.float().triu(1)[None]
    keep = greedy(removes, torch.ones(1, count, dtype=torch.bool))[0]
    assert keep.nonzero().squeeze(1).tolist() == circle_nms(centers, radius, group).tolist()


@pytest.mark.parametrize(
    ("decode", "tasks", "attributes", "bins"),
    [
        (DecodeConfig(score=0.05, nms="circle", by_class=True, post_max_size=40), None, 0.2, 8),
        (DecodeConfig(score=0.2, nms="circle", post_max_size=7, max_boxes=20), None, 0.0, 1),
        (DecodeConfig(nms="none", window=1, pre_max_size=30), (("car", "bus"),), 0.2, 1),
    ],
)
def test_decoding_in_the_graph_is_that_of_the_head(decode, tasks, attributes, bins):
    torch.manual_seed(3)
    config = CenterHeadConfig(
        tasks=tasks, shared=8, branch=0, prior=0.3, decode=replace(decode, range=14.0),
        attribute_weight=attributes, direction_bins=bins,
    )  # fmt: skip
    head = config.build(FeatureSpec(6, GRID, NUSCENES, 6, 8)).eval()
    with torch.no_grad():
        output = head(Features(torch.randn(2, 6, *GRID.shape[1:]) * 3, torch.zeros(0), None))
        want = head.decode(output)
        got = boxes_of(Decoding(suppress=True)(head, output))
    assert sum(map(len, want)) > 20
    for a, b in zip(want, got, strict=True):
        assert len(a) == len(b)
        for name in ("center", "size", "yaw", "velocity", "score"):
            torch.testing.assert_close(getattr(b, name), getattr(a, name), rtol=0, atol=1e-5)
        assert torch.equal(a.label, b.label) and torch.equal(a.attribute, b.attribute)


@pytest.mark.parametrize(
    "decode",
    [
        DecodeConfig(pre_max_size=40, distance=("barrier", "bus"), post_max_size=20),
        DecodeConfig(pre_max_size=40, by_class=True, nms_overlap=(0.05,) * 10),
        DecodeConfig(pre_max_size=60, nms="circle", post_max_size=7, max_boxes=20),
        DecodeConfig(nms="none", window=1, pre_max_size=30, post_max_size=25),
    ],
)
def test_the_metadata_of_candidates_give_the_boxes_of_the_head(decode):
    torch.manual_seed(3)
    config = CenterHeadConfig(
        shared=8, branch=0, prior=0.3, decode=replace(decode, range=14.0), attribute_weight=0.2
    )
    head = config.build(FeatureSpec(6, GRID, NUSCENES, 6, 8)).eval()
    with torch.no_grad():
        output = head(Features(torch.randn(2, 6, *GRID.shape[1:]) * 3, torch.zeros(0), None))
        want = head.decode(output)
        candidates = Decoding(suppress=False)(head, output)
    got = boxes_of(candidates, json.loads(json.dumps(suppression_of(head))))
    for a, b, scores in zip(want, got, candidates["scores"], strict=True):
        assert 10 < len(a) == len(b) < (scores > 0).sum()
        for name in ("center", "size", "yaw", "velocity", "score"):
            torch.testing.assert_close(getattr(b, name), getattr(a, name), rtol=0, atol=1e-5)
        assert torch.equal(a.label, b.label) and torch.equal(a.attribute, b.attribute)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), by_class=st.booleans())
def test_rotated_nms_in_numpy_is_that_of_the_package(seed, by_class):
    rng = np.random.default_rng(seed)
    count, tasks = 40, [0, 0, 1]
    boxes = np.concatenate(
        [rng.uniform(-6, 6, (count, 2)), np.zeros((count, 1)), rng.uniform(1, 5, (count, 3)),
         rng.uniform(-4, 4, (count, 1)), np.zeros((count, 2))], axis=1,
    )  # fmt: skip
    labels, scores = rng.integers(0, 3, count), np.sort(rng.random(count))[::-1]
    scale, overlap = [1.0, 0.8, 1.2], [0.1, 0.3, 0.2]
    got = numpy_nms(boxes, scores, labels, tasks, scale, overlap, [0.0] * 3, by_class)
    label = torch.from_numpy(labels)
    group = label if by_class else torch.tensor(tasks)[label]
    flat = torch.from_numpy(boxes[:, [0, 1, 3, 4, 6]]).float()
    flat[:, 2:4] *= torch.tensor(scale)[label, None]
    want = rotated_nms(flat, torch.tensor(overlap)[label], group)
    assert got.tolist() == want.tolist()
